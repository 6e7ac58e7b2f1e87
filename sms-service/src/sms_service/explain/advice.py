"""What an operator can do about each verdict."""

from sms_service.explain.report import DiagnosisKind
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED
from sms_service.verification.audit_events import CALLER

REFUSALS = {
    "cooldown": DiagnosisKind.COOLDOWN,
    "daily_cap": DiagnosisKind.DAILY_CAP,
    CALLER: DiagnosisKind.CALLER_LIMIT,
    BUDGET_EXHAUSTED: DiagnosisKind.BUDGET,
    PREFIX_BLOCKED: DiagnosisKind.PREFIX_BLOCKED,
    "number_taken": DiagnosisKind.ACCOUNT,
    "no_account": DiagnosisKind.ACCOUNT,
    "number_refused": DiagnosisKind.TEST_NUMBER,
}

ADVICE = {
    DiagnosisKind.NOTHING_ASKED: "The request never reached sms-service: look at the gateway (wrong host? country not served? "
    "answers of 503?), and at the number that the person typed.",
    DiagnosisKind.VERIFIED: "No code is missing. Without an account or session now, it was the app that stopped after the code.",
    DiagnosisKind.WRONG_CODE: "The message may have arrived: let the person read the code again, in the newest message.",
    DiagnosisKind.CODE_DEAD: "Let the person ask for a new code and enter it within five minutes.",
    DiagnosisKind.DELIVERED: "It is on the phone, as far as its sender can tell: look among blocked and junk messages.",
    DiagnosisKind.ACCEPTED: "The provider has it: look it up there by its id. Some senders give no receipts at all.",
    DiagnosisKind.UNDELIVERED: "The provider's detail says why: phone off, blocked, ported. Asking again takes another sender.",
    DiagnosisKind.WAITING: "Look whether sms-worker runs, whether RabbitMQ answers, and how long the queue sms.send is.",
    DiagnosisKind.SENDING: "Wait for a few seconds: a sender is given four, then the next one is asked.",
    DiagnosisKind.EXPIRED: "Look whether sms-worker ran then, and RabbitMQ. The person has to ask again.",
    DiagnosisKind.TEST_NUMBER: "Its fixed code, and its last day, are in the routes file (SMS_CONFIG_FILE).",
    DiagnosisKind.COOLDOWN: "Nothing to mend: the app should show when to ask again (Retry-After) and offer the earlier code.",
    DiagnosisKind.DAILY_CAP: "Nothing to mend, unless all those messages failed: then mend that first.",
    DiagnosisKind.CALLER_LIMIT: "If many people share that address, look at TRUSTED_PROXIES; else it may be an attack.",
    DiagnosisKind.BUDGET: "`python -m sms_service spending` shows the budgets: raise one in the routes file (SMS_CONFIG_FILE), or "
    "let its window pass.",
    DiagnosisKind.PREFIX_BLOCKED: "Too few codes to such numbers came back. `python -m sms_service spending` names the prefix, "
    "`spending unblock SCOPE` lets it go; a larger budget does not.",
    DiagnosisKind.ACCOUNT: "The person should log in or reset the password, or else register.",
    DiagnosisKind.REFUSED: "The limiter's name says where to look.",
    DiagnosisKind.INVALID_NUMBER: "Let the person check the number. No other sender was asked, since none could reach it.",
    DiagnosisKind.SILENT: "Look at the provider's status and at haoma_sender_circuit_open. The person may ask again: it will be "
    "another sender's turn.",
    DiagnosisKind.FAILED: "The detail is the provider's own word: look it up in its documentation. The person may ask again.",
    DiagnosisKind.NO_ROUTE: "Add a route for its prefix to the routes file (SMS_CONFIG_FILE), or stop serving that country.",
    DiagnosisKind.CIRCUIT_OPEN: "Look at the providers' status; senders are tried again by themselves.",
    DiagnosisKind.SENDERS_LIMITED: "The provider's limits per number; a further sender in the route would help.",
    DiagnosisKind.MISCONFIGURED: "Mend credentials, signature or template of that sender in the routes file.",
    DiagnosisKind.KEY_MISSING: "CODE_KEYS or PHONE_KEY of the worker differ from those of sms-service: give both the same ring.",
    DiagnosisKind.ABANDONED: "Look why the worker ended. Nobody tries again, so that nothing is sent twice: the person may ask.",
}
