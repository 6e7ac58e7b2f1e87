"""Rows to entries: each step of a verification in a plain sentence."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from shared.internal_api.auth import SpentTicket
from shared.internal_api.sms import Purpose
from sms_service.delivery.ledger import MessageState
from sms_service.explain.history import AttemptRow, Course, EventRow, MessageRow
from sms_service.explain.report import Step
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED, SPENDING_LIMITER
from sms_service.verification.audit_events import CALLER, EventKind, UnusableReason
from sms_service.verification.limits import WINDOW
from sms_service.verification.test_numbers import SENDER as TEST_NUMBER

LIMITERS = {
    "cooldown": "a code went to this number moments before",
    "daily_cap": "as many codes as may be went to this number in 24 hours",
    CALLER: "too many requests came from its address or network, or from there for this number",
    BUDGET_EXHAUSTED: "no money is left for such numbers until the budget's next window",
    PREFIX_BLOCKED: "its prefix is slowed or stopped, because too few codes to such numbers came back",
    "number_taken": "the number has an account already, and this is to open one",
    "no_account": "the number has no account, and this is for one that has",
    "number_refused": "it is a test number, and its last day is over",
}
SPENDINGS = frozenset({BUDGET_EXHAUSTED, PREFIX_BLOCKED})
"""The two things that spending refuses for."""
DEATHS: dict[str, str] = {
    UnusableReason.REPLACED: "it belonged to an earlier verification, which a newer one has replaced",
    UnusableReason.USED_UP: "five wrong codes had killed the right one",
    UnusableReason.SPENT: "the right code had come back before, and its ticket's ten minutes were over",
    UnusableReason.EXPIRED: "the code's five minutes were over",
    UnusableReason.LIMITED: "too many wrong codes for this number or from this network: not even the right one was compared",
}
SPENT = {
    Purpose.SIGN_UP: "the ticket was spent: an account was opened",
    Purpose.SIGN_IN: "the ticket was spent on signing in",
    Purpose.RESET_PASSWORD: "the ticket was spent: the password was reset",
    Purpose.CHANGE_PHONE: "the ticket was spent: the account's number was changed",
}


def steps_of(course: Course, sent: Sequence[datetime]) -> list[Step]:
    """Every step of a course in order of time. ``sent`` are the times of all messages to the number, in order."""
    told = [entry for message in course.messages for entry in _of_message(message, course.attempts_of(message), sent)]
    told += [entry for row in course.refusals for entry in _of_refusal(row)]
    told += [_of_check(row) for row in course.checks]
    if course.verified_at and not any(row.kind is EventKind.RIGHT for row in course.checks):
        told.append(Step(at=course.verified_at, by="check", said="the right code came back"))
    told += [_of_spending(ticket) for ticket in course.spent.tickets] if course.spent else []
    return sorted(told, key=lambda entry: entry.at)


def _of_message(message: MessageRow, attempts: Sequence[AttemptRow], sent: Sequence[datetime]) -> Iterator[Step]:
    yield _asked(message.created_at, message.purpose, message.dialect, language=message.language)
    nth = bisect_right(sent, message.created_at) - bisect_right(sent, message.created_at - WINDOW)
    yield Step(at=message.created_at, by="limits", said=f"allowed it: message {nth} to this number in 24 hours")
    if message.sender == TEST_NUMBER:
        yield Step(at=message.created_at, by="sender", said="nothing is sent to a test number: its code is a fixed one")
        return
    facts: dict[str, str | int] = {"message_id": str(message.message_id)}
    yield Step(at=message.created_at, by="queue", said="the message was queued", facts=facts)
    for number, attempt in enumerate(attempts, start=1):
        yield from _of_attempt(attempt, number)
    if not attempts and message.finished_at is not None:
        yield _uncarried(message, message.finished_at)


def _uncarried(message: MessageRow, at: datetime) -> Step:
    """How a message ended that no sender was asked to carry."""
    if message.state is MessageState.EXPIRED:
        waited = seconds(message.expires_at - message.created_at)
        return Step(at=at, by="queue", said=f"the code expired after {waited} in the queue: the message was not sent")
    return Step(
        at=at, by="worker", said="ended the message without asking a sender", facts={"failure": message.failure}
    )


def _of_attempt(attempt: AttemptRow, number: int) -> Iterator[Step]:
    said = f"claimed the message for {attempt.sender}" if number == 1 else f"moved on to {attempt.sender}"
    yield Step(at=attempt.started_at, by="worker", said=said)
    if attempt.finished_at is not None:
        said = "took the message" if attempt.outcome == "accepted" else "did not take the message"
        yield Step(at=attempt.finished_at, by=attempt.sender, said=said, facts=_answer(attempt))
    if attempt.receipt_at is not None:
        said = "receipt: delivered" if attempt.receipt == "delivered" else "receipt: not delivered"
        facts: dict[str, str | int] = {"detail": attempt.receipt_detail} if attempt.receipt_detail else {}
        yield Step(at=attempt.receipt_at, by=attempt.sender, said=said, facts=facts)


def _answer(attempt: AttemptRow) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"answer": attempt.outcome}
    named = {"detail": attempt.detail, "provider_id": attempt.provider_id}
    return facts | {name: value for name, value in named.items() if value}


def _of_refusal(row: EventRow) -> Iterator[Step]:
    yield _asked(row.at, row.purpose, row.dialect)
    said = f"refused by {limiter_of(row)}: {reason_of(row)}"
    facts: dict[str, str | int] = {"limiter": row.detail}
    if row.retry_after:
        facts["retry_after"] = row.retry_after
    yield Step(at=row.at, by="limits", said=said, facts=facts)


def limiter_of(row: EventRow) -> str:
    """What refused."""
    return SPENDING_LIMITER if row.detail in SPENDINGS else row.detail.replace("_", " ")


def reason_of(row: EventRow) -> str:
    """Why it refused, in words."""
    return LIMITERS.get(row.detail, "its name says why")


def _of_check(row: EventRow) -> Step:
    if row.kind is EventKind.RIGHT:
        said = "the right code came back"
    elif row.kind is EventKind.WRONG:
        said = f"a wrong code came back: {row.tries_left} tries left"
    else:
        said = f"a code came back that opens nothing: {death_of(row)}"
    return Step(at=row.at, by="check", said=said, facts={"dialect": row.dialect})


def death_of(row: EventRow) -> str:
    """Why a code could open nothing, in words."""
    return DEATHS.get(row.detail, row.detail)


def _of_spending(ticket: SpentTicket) -> Step:
    said = SPENT[ticket.purpose]
    if ticket.purpose is not Purpose.CHANGE_PHONE:
        said += "; its session lives" if ticket.session_lives else "; no session of it lives any more"
    facts: dict[str, str | int] = {"user_id": ticket.user_id}
    return Step(at=ticket.spent_at, by="auth-service", said=said, facts=facts)


def _asked(at: datetime, purpose: Purpose, dialect: str, language: str = "") -> Step:
    facts: dict[str, str | int] = {"language": language} if language else {}
    return Step(at=at, by="client", said=f"asked for a code ({purpose.value}) through {dialect}", facts=facts)


def seconds(span: timedelta) -> str:
    """A span as a person reads it."""
    total = max(0.0, span.total_seconds())
    if total < 60:
        return f"{total:.3f} s" if total < 10 else f"{total:.0f} s"
    minutes, left = divmod(round(total), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s"
