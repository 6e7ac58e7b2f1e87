"""The diagnosis of a timeline: one sentence that answers "why no code?", and advice."""

from datetime import datetime, timedelta

from sms_service.delivery.ledger import ABANDONED, ABANDONED_AFTER, MessageState
from sms_service.delivery.routing import CIRCUIT_OPEN, EXHAUSTED, NO_ROUTE
from sms_service.explain.advice import ADVICE, REFUSAL_KINDS, SAMPLED_ADVICE
from sms_service.explain.history import RECENT_MINUTES, AttemptRow, EventRow, MessageRow, SampledRefusals, TimelineRows
from sms_service.explain.report import Diagnosis, DiagnosisKind
from sms_service.explain.steps import (
    NOTICES,
    WITHHELD_REASON,
    format_duration,
    limiter_of,
    refusal_reason,
    tries_left,
    unusable_reason,
)
from sms_service.senders.port import Outcome
from sms_service.spending.refusals import BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE, PREFIX_BLOCKED
from sms_service.verification.audit_events import EventKind
from sms_service.verification.models import WITHHELD
from sms_service.verification.test_numbers import SENDER as TEST_NUMBER

_MAY_HAVE_ARRIVED = frozenset(
    {DiagnosisKind.DELIVERED, DiagnosisKind.ACCEPTED, DiagnosisKind.SENDING, DiagnosisKind.TEST_NUMBER}
)
_SPENDING_FAILURES = frozenset({BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE, PREFIX_BLOCKED})
_LIMITER_NAMES = {
    "cooldown": "The cooldown",
    "daily_cap": "The daily cap",
    "caller": "The caller limit",
    "spending": "The spending limit",
    "number_taken": "The account check",
    "no_account": "The account check",
    "number_refused": "The list of test numbers",
}
_UNSENT = {
    NO_ROUTE: (DiagnosisKind.NO_ROUTE, "No route serves this number."),
    CIRCUIT_OPEN: (DiagnosisKind.CIRCUIT_OPEN, "The circuits of all senders in the route were open, after failures."),
    EXHAUSTED: (DiagnosisKind.FAILED, "Every sender in the route had already failed for this code."),
    Outcome.RATE_LIMITED.value: (
        DiagnosisKind.SENDER_LIMIT,
        "Every sender in the route had reached its own limit for this number.",
    ),
    Outcome.MISCONFIGURED.value: (DiagnosisKind.KEY_MISSING, "The worker does not have the key of this code."),
    BUDGET_EXHAUSTED: (DiagnosisKind.BUDGET_EXHAUSTED, "The budget could not pay for the message."),
    CHEAPER_UNAVAILABLE: (
        DiagnosisKind.BUDGET_EXHAUSTED,
        "The budget could pay for cheaper senders only, and each of them was failing or at a limit.",
    ),
    PREFIX_BLOCKED: (
        DiagnosisKind.PREFIX_BLOCKED,
        "The prefix of the number was throttled or blocked while the message waited.",
    ),
    WITHHELD: (DiagnosisKind.ACCOUNT, f"The message was not sent, because {WITHHELD_REASON}."),
}
"""The messages for which the worker called no sender, by their failure."""
_UNACCEPTED = {
    Outcome.INVALID_NUMBER.value: (
        DiagnosisKind.INVALID_NUMBER,
        "{sender} rejected the number as invalid ({outcome}).",
    ),
    Outcome.MISCONFIGURED.value: (
        DiagnosisKind.MISCONFIGURED,
        "{sender} rejected our request: its settings are wrong ({outcome}).",
    ),
    Outcome.REFUSED.value: (DiagnosisKind.FAILED, "{sender} rejected the text ({outcome})."),
    Outcome.RATE_LIMITED.value: (DiagnosisKind.SENDER_LIMIT, "{sender} rejected too many requests ({outcome})."),
    ABANDONED: (
        DiagnosisKind.ABANDONED,
        "The worker stopped while it called {sender}: the message may have been sent, or not.",
    ),
}
"""The answers of the last sender, by their outcome."""
_FAILED = (DiagnosisKind.FAILED, "{sender} failed ({outcome}).")
_TIMED_OUT = (
    DiagnosisKind.TIMEOUT,
    "{sender} did not answer in time: the message may have been sent, or not ({outcome}).",
)


def diagnose(rows: TimelineRows, now: datetime) -> Diagnosis:
    """The diagnosis of the last request; if it was refused, also that of the request before it."""
    if rows.refusals and rows.last_requested_at == rows.refusals[-1].at:
        refused = _of_refusal(rows.refusals[-1], now)
        if not rows.messages:
            return refused
        return _diagnosis(refused.kind, f"{refused.text} Before that: {_of_code(rows, now).text}")
    return _of_code(rows, now)


def nothing_requested(days: int, sampled: SampledRefusals) -> Diagnosis:
    """The diagnosis of a number without a row: its requests did not arrive, or only a sample of refusals was kept."""
    text = (
        f"No request for this number is stored for the last {days} days. Requests that a limit on callers or on "
        "spending refuses are sampled: one a minute is kept for each network and each number. In the last "
        f"{RECENT_MINUTES} minutes, {sampled.callers} by the limit on callers and {sampled.spending} by spending "
        "were kept."
    )
    refused = sampled.callers or sampled.spending
    advice = SAMPLED_ADVICE if refused else ADVICE[DiagnosisKind.NOTHING_REQUESTED]
    return Diagnosis(kind=DiagnosisKind.NOTHING_REQUESTED, text=text, advice=advice)


def _of_code(rows: TimelineRows, now: datetime) -> Diagnosis:
    """The diagnosis of a code that was sent, and what its message said about the account."""
    message, diagnosis = rows.messages[-1], _of_entered_code(rows, now)
    if message.notice not in NOTICES or message.failure == WITHHELD:
        return diagnosis
    return diagnosis.model_copy(update={"text": f"{diagnosis.text} The message {NOTICES[message.notice]}."})


def _of_entered_code(rows: TimelineRows, now: datetime) -> Diagnosis:
    """The diagnosis of a code that was sent. The codes that the user entered reveal more than the message does."""
    message = rows.messages[-1]
    of_message = _of_message(message, rows.attempts_for(message), now)
    if rows.verified_at is not None:
        return _verified(rows, rows.verified_at)
    rejected = _of_checks([row for row in rows.checks if row.at >= message.created_at])
    if rejected is None:
        return of_message
    kind, text = rejected
    return _diagnosis(kind if of_message.kind in _MAY_HAVE_ARRIVED else of_message.kind, f"{text} {of_message.text}")


def _of_checks(checks: list[EventRow]) -> tuple[DiagnosisKind, str] | None:
    """What the rejected codes since the last message mean."""
    incorrect = [row for row in checks if row.kind is EventKind.INCORRECT]
    if incorrect and incorrect[-1].tries_left == 0:
        return (
            DiagnosisKind.UNUSABLE_CODE,
            "Incorrect codes have used up the tries: the correct code is not accepted any more.",
        )
    if checks and checks[-1].kind is EventKind.UNUSABLE:
        return DiagnosisKind.UNUSABLE_CODE, f"The user entered an unusable code: {unusable_reason(checks[-1])}."
    if incorrect:
        times = {1: "once", 2: "twice"}.get(len(incorrect), f"{len(incorrect)} times")
        left = tries_left(incorrect[-1].tries_left)
        return DiagnosisKind.INCORRECT_CODE, f"The user entered an incorrect code {times}; {left}."
    return None


def _verified(rows: TimelineRows, verified_at: datetime) -> Diagnosis:
    after = format_duration(verified_at - rows.first_requested_at)
    text = f"The user entered the correct code {after} after requesting it"
    if rows.spent is None:
        return _diagnosis(DiagnosisKind.VERIFIED, f"{text}.")
    if any(ticket.verification_id == rows.verification_id for ticket in rows.spent.tickets):
        return _diagnosis(DiagnosisKind.VERIFIED, f"{text}, and the app used its ticket.")
    if verified_at < rows.spent.known_since:
        return _diagnosis(DiagnosisKind.VERIFIED, f"{text}.")
    return _diagnosis(DiagnosisKind.VERIFIED, f"{text}; the app has not used its ticket.")


def _of_refusal(row: EventRow, now: datetime) -> Diagnosis:
    until = ""
    if row.retry_after:
        ends_at = row.at + timedelta(seconds=row.retry_after)
        left = f"{format_duration(ends_at - now)} from now" if ends_at > now else "which is over"
        until = f" until {_format_time(ends_at)} ({left})"
    limiter = limiter_of(row)
    name = _LIMITER_NAMES.get(limiter, f"The limiter {limiter}")
    kind = REFUSAL_KINDS.get(row.detail, DiagnosisKind.REFUSED)
    return _diagnosis(kind, f"{name} refused the request{until}: {refusal_reason(row)}.")


def _of_message(message: MessageRow, attempts: list[AttemptRow], now: datetime) -> Diagnosis:
    if message.sender == TEST_NUMBER:
        return _diagnosis(DiagnosisKind.TEST_NUMBER, "This is a test number: sms-service sends it no messages.")
    if message.state is MessageState.QUEUED and message.expires_at > now:
        waited = format_duration(now - message.created_at)
        text = f"The message waits in the queue: no worker has claimed it for {waited}."
        return _diagnosis(DiagnosisKind.WAITING, text)
    if message.state in {MessageState.QUEUED, MessageState.EXPIRED}:
        waited = format_duration(message.expires_at - message.created_at)
        text = f"The code expired in the queue: no worker claimed the message for {waited}."
        return _diagnosis(DiagnosisKind.EXPIRED, text)
    if not attempts or message.failure in _SPENDING_FAILURES:
        unknown = (DiagnosisKind.FAILED, f"The message was not sent: {message.failure}.")
        return _diagnosis(*_UNSENT.get(message.failure, unknown))
    if message.state is MessageState.SENDING:
        return _in_progress(attempts[-1], now)
    return _of_attempts(attempts, message.created_at, now)


def _in_progress(attempt: AttemptRow, now: datetime) -> Diagnosis:
    since = now - attempt.started_at
    if since > ABANDONED_AFTER:
        text = f"The worker stopped while it called {attempt.sender}, {format_duration(since)} ago."
        return _diagnosis(DiagnosisKind.ABANDONED, text)
    text = f"The worker called {attempt.sender} {format_duration(since)} ago and waits for its answer."
    return _diagnosis(DiagnosisKind.SENDING, text)


def _of_attempts(attempts: list[AttemptRow], requested_at: datetime, now: datetime) -> Diagnosis:
    """The diagnosis by the answer of the last sender, and by its receipt if there is one."""
    last = attempts[-1]
    if last.receipt == "delivered" and last.receipt_at:
        after = format_duration(last.receipt_at - requested_at)
        return _diagnosis(DiagnosisKind.DELIVERED, f"{last.sender} delivered the message {after} after the request.")
    if last.receipt == "failed":
        text = f"{last.sender} accepted the message but did not deliver it: {last.receipt_detail}."
        return _diagnosis(DiagnosisKind.UNDELIVERED, text)
    if last.outcome == Outcome.ACCEPTED:
        ago = format_duration(now - (last.finished_at or now))
        text = f"{last.sender} accepted the message {ago} ago and has sent no receipt."
        return _diagnosis(DiagnosisKind.ACCEPTED, text)
    timed_out = last.outcome == Outcome.TRANSIENT and last.detail == "timeout"
    kind, text = _TIMED_OUT if timed_out else _UNACCEPTED.get(last.outcome, _FAILED)
    return _diagnosis(kind, text.format(sender=last.sender, outcome=_outcomes(attempts)))


def _outcomes(attempts: list[AttemptRow]) -> str:
    last = " ".join(filter(None, (attempts[-1].outcome, attempts[-1].detail)))
    return f"{last}; before it {attempts[0].sender}: {attempts[0].outcome}" if len(attempts) > 1 else last


def _format_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _diagnosis(kind: DiagnosisKind, text: str) -> Diagnosis:
    return Diagnosis(kind=kind, text=text, advice=ADVICE[kind])
