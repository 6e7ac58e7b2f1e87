"""What an operator can do about each verdict."""

from sms_service.explain.report import Kind
from sms_service.spending.refusals import PREFIX_STOPPED, SPENDING_STOPPED
from sms_service.verification.audit_events import CALLER

REFUSALS = {
    "cooldown": Kind.COOLDOWN,
    "daily_cap": Kind.DAILY_CAP,
    CALLER: Kind.CALLER_LIMIT,
    SPENDING_STOPPED: Kind.BUDGET,
    PREFIX_STOPPED: Kind.PREFIX_STOPPED,
    "number_taken": Kind.ACCOUNT,
    "no_account": Kind.ACCOUNT,
    "number_refused": Kind.TEST_NUMBER,
}

ADVICE = {
    Kind.NOTHING_ASKED: "The request never reached sms-service: look at the gateway (wrong host? country not served? "
    "answers of 503?), and at the number that the person typed.",
    Kind.VERIFIED: "No code is missing. Without an account or session now, it was the app that stopped after the code.",
    Kind.WRONG_CODE: "The message may have arrived: let the person read the code again, in the newest message.",
    Kind.CODE_DEAD: "Let the person ask for a new code and enter it within five minutes.",
    Kind.DELIVERED: "It is on the phone, as far as its sender can tell: look among blocked and junk messages.",
    Kind.ACCEPTED: "The provider has it: look it up there by its id. Some senders give no receipts at all.",
    Kind.UNDELIVERED: "The provider's detail says why: phone off, blocked, ported. Asking again takes another sender.",
    Kind.WAITING: "Look whether sms-worker runs, whether RabbitMQ answers, and how long the queue sms.send is.",
    Kind.SENDING: "Wait for a few seconds: a sender is given four, then the next one is asked.",
    Kind.EXPIRED: "Look whether sms-worker ran then, and RabbitMQ. The person has to ask again.",
    Kind.TEST_NUMBER: "Its fixed code, and its last day, are in the routes file (SMS_ROUTES).",
    Kind.COOLDOWN: "Nothing to mend: the app should show when to ask again (Retry-After) and offer the earlier code.",
    Kind.DAILY_CAP: "Nothing to mend, unless all those messages failed: then mend that first.",
    Kind.CALLER_LIMIT: "If many people share that address, look at TRUSTED_PROXIES; else it may be an attack.",
    Kind.BUDGET: "`python -m sms_service spending` shows the budgets: raise one in the routes file (SMS_ROUTES), or "
    "let its window pass.",
    Kind.PREFIX_STOPPED: "Too few codes to such numbers came back. `python -m sms_service spending` names the prefix, "
    "`spending resume SCOPE` lets it go; a larger budget does not.",
    Kind.ACCOUNT: "The person should log in or reset the password, or else register.",
    Kind.REFUSED: "The limiter's name says where to look.",
    Kind.INVALID_NUMBER: "Let the person check the number. No other sender was asked, since none could reach it.",
    Kind.SILENT: "Look at the provider's status and at haoma_sender_circuit_open. The person may ask again: it will be "
    "another sender's turn.",
    Kind.FAILED: "The detail is the provider's own word: look it up in its documentation. The person may ask again.",
    Kind.NO_ROUTE: "Add a route for its prefix to the routes file (SMS_ROUTES), or stop serving that country.",
    Kind.CIRCUIT_OPEN: "Look at the providers' status; senders are tried again by themselves.",
    Kind.SENDERS_LIMITED: "The provider's limits per number; a further sender in the route would help.",
    Kind.MISCONFIGURED: "Mend credentials, signature or template of that sender in the routes file.",
    Kind.KEY_MISSING: "CODE_KEYS or PHONE_KEY of the worker differ from those of sms-service: give both the same ring.",
    Kind.ABANDONED: "Look why the worker ended. Nobody tries again, so that nothing is sent twice: the person may ask.",
}
