"""What an operator can do about each diagnosis."""

from sms_service.explain.report import DiagnosisKind
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED
from sms_service.verification.audit_events import CALLER

REFUSAL_KINDS = {
    "cooldown": DiagnosisKind.COOLDOWN,
    "daily_cap": DiagnosisKind.DAILY_CAP,
    CALLER: DiagnosisKind.CALLER_LIMIT,
    BUDGET_EXHAUSTED: DiagnosisKind.BUDGET_EXHAUSTED,
    PREFIX_BLOCKED: DiagnosisKind.PREFIX_BLOCKED,
    "number_taken": DiagnosisKind.ACCOUNT,
    "no_account": DiagnosisKind.ACCOUNT,
    "number_refused": DiagnosisKind.TEST_NUMBER,
}
"""The diagnosis of a refused request, by its limiter."""

ADVICE = {
    DiagnosisKind.NOTHING_REQUESTED: "A request of the last hour did not reach sms-service: check the gateway (wrong "
    "host, country not served, 503 responses) and the number that the user typed. For an earlier request, "
    "haoma_codes_refused_total shows whether sms-service refused any then.",
    DiagnosisKind.VERIFIED: "The code arrived. If the user has no account or session, the app stopped after the code.",
    DiagnosisKind.INCORRECT_CODE: "The message may have arrived: ask the user to read the code in the newest message.",
    DiagnosisKind.UNUSABLE_CODE: "Ask the user to request a new code and to enter it within five minutes.",
    DiagnosisKind.DELIVERED: "As far as the sender knows, the message is on the phone: ask the user to check blocked "
    "and junk messages.",
    DiagnosisKind.ACCEPTED: "The provider has the message: search for its id there. Some senders send no receipts.",
    DiagnosisKind.UNDELIVERED: "The provider's detail gives the reason: phone off, number blocked or ported. The next "
    "request goes to another sender.",
    DiagnosisKind.WAITING: "Check that sms-worker runs and that RabbitMQ answers, and look at the length of the queue "
    "sms.send.",
    DiagnosisKind.SENDING: "Wait a few seconds: the worker gives a sender four seconds, then calls the next one.",
    DiagnosisKind.EXPIRED: "Check whether sms-worker and RabbitMQ ran then. The user has to request a new code.",
    DiagnosisKind.TEST_NUMBER: "The settings file (SMS_CONFIG_FILE) has its fixed code and its last day.",
    DiagnosisKind.COOLDOWN: "Nothing is broken. The app should show when the user can try again (Retry-After), and "
    "accept the earlier code.",
    DiagnosisKind.DAILY_CAP: "Nothing is broken, unless all those messages failed: then find out why they failed.",
    DiagnosisKind.CALLER_LIMIT: "If many users share that address, check TRUSTED_PROXIES, then raise the limit "
    "(docs/operations/limits.md). Else it may be an attack.",
    DiagnosisKind.BUDGET_EXHAUSTED: "`python -m sms_service spending` shows the budgets. Raise one in the settings "
    "file (SMS_CONFIG_FILE), or wait for its next window.",
    DiagnosisKind.PREFIX_BLOCKED: "`python -m sms_service spending` names the prefix, and `spending unblock SCOPE` "
    "unblocks it. A larger budget does not help.",
    DiagnosisKind.ACCOUNT: "Ask the user to log in or to reset the password, or else to register.",
    DiagnosisKind.REFUSED: "The name of the limiter shows where to look.",
    DiagnosisKind.INVALID_NUMBER: "Ask the user to check the number. The worker calls no other sender for a number "
    "that does not exist.",
    DiagnosisKind.TIMEOUT: "Check the provider's status and haoma_sender_circuit_open. The user can request the code "
    "again: it goes to another sender.",
    DiagnosisKind.FAILED: "If the detail ends in Error, the worker could not talk to the sender: check its address in "
    "the settings file (SMS_CONFIG_FILE), and the way out of sms-worker. Else look up the detail in the provider's "
    "documentation. The user can request the code again.",
    DiagnosisKind.NO_ROUTE: "Add a route for the prefix to the settings file (SMS_CONFIG_FILE), or stop serving that "
    "country.",
    DiagnosisKind.CIRCUIT_OPEN: "Check the providers' status. The worker tries these senders again on its own.",
    DiagnosisKind.SENDER_LIMIT: "Check the provider's limits for one number. Another sender in the route would help.",
    DiagnosisKind.MISCONFIGURED: "Correct the credentials, signature or template of that sender in the settings file.",
    DiagnosisKind.KEY_MISSING: "The worker and sms-service have different CODE_KEYS or PHONE_KEY: give both the same.",
    DiagnosisKind.ABANDONED: "Find out why the worker stopped. sms-service does not send the message again, because it "
    "may have arrived. The user can request a new code.",
}

SAMPLED_ADVICE = (
    "Check sms-service first: it refused requests lately, and perhaps those for this number. "
    "haoma_codes_refused_total counts all refusals by limiter; docs/operations/limits.md and "
    "`python -m sms_service spending` show the limits. If they do not explain it, check the gateway (wrong host, "
    "country not served) and the number that the user typed."
)
"""For a number without rows while requests of other numbers were refused."""
