"""One line that answers "why no code?", and what to do about it."""

from datetime import datetime, timedelta

from sms_service.delivery.ledger import ABANDONED, ABANDONED_AFTER, MessageState
from sms_service.delivery.routing import CIRCUIT_OPEN, EXHAUSTED, NO_ROUTE
from sms_service.explain.advice import ADVICE, REFUSALS
from sms_service.explain.history import AttemptRow, Course, EventRow, MessageRow
from sms_service.explain.report import Diagnosis, DiagnosisKind
from sms_service.explain.steps import death_of, limiter_of, reason_of, seconds
from sms_service.senders.port import Outcome
from sms_service.spending.refusals import BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE, PREFIX_BLOCKED
from sms_service.verification.audit_events import EventKind
from sms_service.verification.test_numbers import SENDER as TEST_NUMBER

_LEFT = frozenset({DiagnosisKind.DELIVERED, DiagnosisKind.ACCEPTED, DiagnosisKind.SENDING, DiagnosisKind.TEST_NUMBER})
"""What a message came to that a person may have."""
_OF_SPENDING = frozenset({BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE, PREFIX_BLOCKED})


def judge(course: Course, now: datetime) -> Diagnosis:
    """What the last asking for a code came to; of a refusal also what had been before it."""
    if course.refusals and course.asked_last == course.refusals[-1].at:
        refused = _refused(course.refusals[-1], now)
        if not course.messages:
            return refused
        return _say(refused.kind, f"{refused.said} Before that: {_sent(course, now).said}")
    return _sent(course, now)


def nothing_asked(days: int) -> Diagnosis:
    """The answer for a number without a row."""
    return _say(DiagnosisKind.NOTHING_ASKED, f"Nothing was asked for this number in the last {days} days.")


def _sent(course: Course, now: datetime) -> Diagnosis:
    """What became of a code that was not refused: what came back says more than what was sent."""
    last = course.messages[-1]
    message = _message(last, course.attempts_of(last), now)
    if course.verified_at is not None:
        return _verified(course, course.verified_at)
    returned = _returned([row for row in course.checks if row.at >= last.created_at])
    if returned is None:
        return message
    kind, said = returned
    return _say(kind if message.kind in _LEFT else message.kind, f"{said} {message.said}")


def _returned(checks: list[EventRow]) -> tuple[DiagnosisKind, str] | None:
    """What codes came back since the last message, none of them the right one."""
    wrong = [row for row in checks if row.kind is EventKind.WRONG]
    if wrong and wrong[-1].tries_left == 0:
        return DiagnosisKind.CODE_DEAD, "Too many wrong codes came back: the right one is dead."
    if checks and checks[-1].kind is EventKind.DEAD:
        return DiagnosisKind.CODE_DEAD, f"A code came back and opened nothing: {death_of(checks[-1])}."
    if wrong:
        times = "once" if len(wrong) == 1 else f"{len(wrong)} times"
        return DiagnosisKind.WRONG_CODE, f"A wrong code came back {times}, {wrong[-1].tries_left} tries are left."
    return None


def _verified(course: Course, verified_at: datetime) -> Diagnosis:
    said = f"The code arrived: the right one came back {seconds(verified_at - course.began)} after it was asked for"
    if course.spent is None:
        return _say(DiagnosisKind.VERIFIED, f"{said}.")
    tickets = [ticket for ticket in course.spent.tickets if ticket.verification_id == course.verification_id]
    if tickets:
        return _say(DiagnosisKind.VERIFIED, f"{said}, and its ticket was spent.")
    if verified_at < course.spent.known_since:
        return _say(DiagnosisKind.VERIFIED, f"{said}.")
    return _say(DiagnosisKind.VERIFIED, f"{said}; its ticket has not been spent.")


def _refused(row: EventRow, now: datetime) -> Diagnosis:
    until = ""
    if row.retry_after:
        again = row.at + timedelta(seconds=row.retry_after)
        left = f"{seconds(again - now)} from now" if again > now else "over by now"
        until = f" until {clock(again)} ({left})"
    return _say(
        REFUSALS.get(row.detail, DiagnosisKind.REFUSED), f"Refused by {limiter_of(row)}{until}: {reason_of(row)}."
    )


def _message(message: MessageRow, attempts: list[AttemptRow], now: datetime) -> Diagnosis:
    if message.sender == TEST_NUMBER:
        return _say(DiagnosisKind.TEST_NUMBER, "This is a test number: nothing is ever sent to it.")
    if message.state is MessageState.QUEUED and message.expires_at > now:
        waited = seconds(now - message.created_at)
        return _say(
            DiagnosisKind.WAITING, f"The message is waiting in the queue, {waited} by now: no worker has taken it."
        )
    if message.state in {MessageState.QUEUED, MessageState.EXPIRED}:
        waited = seconds(message.expires_at - message.created_at)
        return _say(
            DiagnosisKind.EXPIRED, f"The code expired in the queue: after {waited} no worker had taken the message."
        )
    if not attempts or message.failure in _OF_SPENDING:
        return _uncarried(message.failure)
    if message.state is MessageState.SENDING:
        return _sending(attempts[-1], now)
    return _carried(attempts, message.created_at, now)


def _uncarried(failure: str) -> Diagnosis:
    """A message that no sender was asked to carry."""
    kind, said = {
        NO_ROUTE: (DiagnosisKind.NO_ROUTE, "No route serves this number."),
        CIRCUIT_OPEN: (DiagnosisKind.CIRCUIT_OPEN, "Every sender of its route had just failed too often to be asked."),
        EXHAUSTED: (DiagnosisKind.FAILED, "Every sender of its route had failed for this code before."),
        Outcome.RATE_LIMITED.value: (
            DiagnosisKind.SENDERS_LIMITED,
            "Every sender of its route had reached its own limit for this number.",
        ),
        Outcome.MISCONFIGURED.value: (DiagnosisKind.KEY_MISSING, "The worker has no key to make this code with."),
        BUDGET_EXHAUSTED: (DiagnosisKind.BUDGET, "Stopped by budget: no money was left for messages to such numbers."),
        CHEAPER_UNAVAILABLE: (
            DiagnosisKind.BUDGET,
            "Stopped by budget: no money was left for whoever could be asked; cheaper ones were failing or at a limit.",
        ),
        PREFIX_BLOCKED: (
            DiagnosisKind.PREFIX_BLOCKED,
            "Held back: its prefix was slowed or stopped while the message waited.",
        ),
    }.get(failure, (DiagnosisKind.FAILED, f"The message was not sent: {failure}."))
    return _say(kind, said)


def _sending(attempt: AttemptRow, now: datetime) -> Diagnosis:
    since = now - attempt.started_at
    if since > ABANDONED_AFTER:
        return _say(
            DiagnosisKind.ABANDONED, f"Its worker went away {seconds(since)} ago while {attempt.sender} was asked."
        )
    return _say(DiagnosisKind.SENDING, f"{attempt.sender} was asked {seconds(since)} ago and has not answered yet.")


def _carried(attempts: list[AttemptRow], asked: datetime, now: datetime) -> Diagnosis:
    """What the last sender answered; a receipt has the last word."""
    last = attempts[-1]
    sender = last.sender
    known = " ".join(filter(None, (last.outcome, last.detail)))
    if len(attempts) > 1:
        known += f"; {attempts[0].sender} before it: {attempts[0].outcome}"
    if last.receipt == "delivered" and last.receipt_at:
        return _say(
            DiagnosisKind.DELIVERED, f"Arrived: {sender} delivered it {seconds(last.receipt_at - asked)} after asking."
        )
    if last.receipt == "failed":
        return _say(
            DiagnosisKind.UNDELIVERED, f"{sender} took the message and did not deliver it: {last.receipt_detail}."
        )
    if last.outcome == Outcome.ACCEPTED:
        ago = seconds(now - (last.finished_at or now))
        return _say(DiagnosisKind.ACCEPTED, f"{sender} took the message {ago} ago, and no receipt has come.")
    kind, said = {
        Outcome.INVALID_NUMBER: (DiagnosisKind.INVALID_NUMBER, f"{sender} said that the number is invalid ({known})."),
        Outcome.MISCONFIGURED: (
            DiagnosisKind.MISCONFIGURED,
            f"{sender} does not know us: our settings are wrong ({known}).",
        ),
        Outcome.REFUSED: (DiagnosisKind.FAILED, f"{sender} refused the text ({known})."),
        Outcome.RATE_LIMITED: (DiagnosisKind.SENDERS_LIMITED, f"{sender} said that it is asked too often ({known})."),
        ABANDONED: (
            DiagnosisKind.ABANDONED,
            f"The worker went away while {sender} was asked: nobody knows whether it left.",
        ),
    }.get(last.outcome, (DiagnosisKind.FAILED, f"{sender} failed ({known})."))
    if last.outcome == Outcome.TRANSIENT and last.detail == "timeout":
        kind, said = DiagnosisKind.SILENT, f"{sender} did not answer in time: nobody knows whether it sent ({known})."
    return _say(kind, said)


def clock(at: datetime) -> str:
    """A moment in UTC, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _say(kind: DiagnosisKind, said: str) -> Diagnosis:
    return Diagnosis(kind=kind, said=said, advice=ADVICE[kind])
