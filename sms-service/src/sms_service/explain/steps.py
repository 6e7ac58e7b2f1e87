"""The steps of a timeline, each as a sentence."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from shared.internal_api.auth import SpentTicket
from shared.internal_api.sms import AccountNotice, Purpose
from sms_service.delivery.ledger import MessageState
from sms_service.explain.history import AttemptRow, EventRow, MessageRow, TimelineRows
from sms_service.explain.report import Step
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED, SPENDING_LIMITER
from sms_service.verification.audit_events import CALLER, EventKind, UnusableReason
from sms_service.verification.models import WITHHELD
from sms_service.verification.send_limits import WINDOW
from sms_service.verification.test_numbers import SENDER as TEST_NUMBER

REFUSAL_REASONS = {
    "cooldown": "the last code for this number was sent moments before",
    "daily_cap": "this number had as many codes in 24 hours as it may have",
    CALLER: "too many requests came from the same address or network",
    BUDGET_EXHAUSTED: "the budget for such numbers was spent until its next window",
    PREFIX_BLOCKED: "the prefix was throttled or blocked, because users verified too few codes of such numbers",
    "number_taken": "the number already had an account, and the request was to register one",
    "no_account": "the number had no account, and the request needs one",
    "number_refused": "the last day of this test number was over",
}
WITHHELD_REASON = "the owner was told often enough that they have an account: strangers had asked for all they can have"
UNUSABLE_REASONS: dict[str, str] = {
    UnusableReason.REPLACED: "it belonged to an earlier verification, and a newer one has replaced that",
    UnusableReason.USED_UP: "five incorrect codes had used up the tries",
    UnusableReason.SPENT: "it had been used before: by others, more than a minute ago, or too often to repeat it",
    UnusableReason.EXPIRED: "its five minutes were over",
    UnusableReason.LIMITED: "the number or the network had too many incorrect codes, so this one was not compared",
}
TICKET_USES = {
    Purpose.SIGN_UP: "registered an account with the ticket",
    Purpose.SIGN_IN: "opened a session with the ticket",
    Purpose.RESET_PASSWORD: "reset the password with the ticket",
    Purpose.CHANGE_PHONE: "changed the number of the account with the ticket",
}
NOTICES = {
    AccountNotice.REGISTERED: "told the owner that they have an account",
    AccountNotice.NO_ACCOUNT: "told the owner that the number has no account",
}
"""What a message says besides the code, where accounts are disclosed only after proof."""
CORRECT_CODE = "accepted the correct code"
REPEATED_CODE = "accepted the correct code again"


def steps_of(rows: TimelineRows, sent_at: Sequence[datetime]) -> list[Step]:
    """All steps of a timeline, oldest first. ``sent_at`` has the times of all messages to the number, in order."""
    steps = [step for message in rows.messages for step in _of_message(message, rows.attempts_for(message), sent_at)]
    steps += [step for row in rows.refusals for step in _of_refusal(row)]
    steps += [_of_check(row) for row in rows.checks]
    if rows.verified_at and not any(row.kind is EventKind.CORRECT for row in rows.checks):
        steps.append(Step(at=rows.verified_at, actor="check", text=CORRECT_CODE))
    steps += [_of_ticket(ticket) for ticket in rows.spent.tickets] if rows.spent else []
    return sorted(steps, key=lambda step: step.at)


def _of_message(message: MessageRow, attempts: Sequence[AttemptRow], sent_at: Sequence[datetime]) -> Iterator[Step]:
    at = message.created_at
    yield _requested(at, message.purpose, message.dialect, language=message.language)
    nth = bisect_right(sent_at, at) - bisect_right(sent_at, at - WINDOW)
    yield Step(at=at, actor="limits", text=f"allowed the request: message {nth} to this number in 24 hours")
    if message.sender == TEST_NUMBER:
        yield Step(at=at, actor="sms-service", text="sent nothing, because a test number has a fixed code")
        return
    if message.failure == WITHHELD:
        yield Step(at=at, actor="sms-service", text=f"sent nothing, because {WITHHELD_REASON}")
        return
    yield Step(at=at, actor="queue", text="received the message", details={"message_id": str(message.message_id)})
    if message.notice in NOTICES:
        yield Step(at=at, actor="message", text=f"{NOTICES[message.notice]}, besides the code")
    for number, attempt in enumerate(attempts, start=1):
        yield from _of_attempt(attempt, number)
    if not attempts and message.finished_at is not None:
        yield _without_attempt(message, message.finished_at)


def _without_attempt(message: MessageRow, at: datetime) -> Step:
    """The end of a message for which the worker called no sender."""
    if message.state is MessageState.EXPIRED:
        waited = format_duration(message.expires_at - message.created_at)
        return Step(at=at, actor="queue", text=f"dropped the message, because its code expired after {waited}")
    details: dict[str, str | int] = {"failure": message.failure}
    return Step(at=at, actor="worker", text="ended the message without calling a sender", details=details)


def _of_attempt(attempt: AttemptRow, number: int) -> Iterator[Step]:
    text = f"claimed the message for {attempt.sender}" if number == 1 else f"failed over to {attempt.sender}"
    yield Step(at=attempt.started_at, actor="worker", text=text)
    if attempt.finished_at is not None:
        text = "accepted the message" if attempt.outcome == "accepted" else "did not accept the message"
        yield Step(at=attempt.finished_at, actor=attempt.sender, text=text, details=_outcome(attempt))
    if attempt.receipt_at is not None:
        delivered = "delivered" if attempt.receipt == "delivered" else "not delivered"
        details: dict[str, str | int] = {"detail": attempt.receipt_detail} if attempt.receipt_detail else {}
        text = f"sent a receipt: the message was {delivered}"
        yield Step(at=attempt.receipt_at, actor=attempt.sender, text=text, details=details)


def _outcome(attempt: AttemptRow) -> dict[str, str | int]:
    details: dict[str, str | int] = {"outcome": attempt.outcome}
    optional = {"detail": attempt.detail, "provider_id": attempt.provider_id}
    return details | {name: value for name, value in optional.items() if value}


def _of_refusal(row: EventRow) -> Iterator[Step]:
    yield _requested(row.at, row.purpose, row.dialect)
    details: dict[str, str | int] = {"limiter": row.detail}
    if row.retry_after:
        details["retry_after"] = row.retry_after
    yield Step(at=row.at, actor="limits", text=f"refused the request: {refusal_reason(row)}", details=details)


def limiter_of(row: EventRow) -> str:
    """The limiter that refused a request."""
    return SPENDING_LIMITER if row.detail in {BUDGET_EXHAUSTED, PREFIX_BLOCKED} else row.detail


def refusal_reason(row: EventRow) -> str:
    return REFUSAL_REASONS.get(row.detail, f"the reason is {row.detail}")


def _of_check(row: EventRow) -> Step:
    if row.kind is EventKind.CORRECT:
        text = CORRECT_CODE
    elif row.kind is EventKind.REPEATED:
        text = REPEATED_CODE
    elif row.kind is EventKind.INCORRECT:
        text = f"rejected an incorrect code: {tries_left(row.tries_left)}"
    else:
        text = f"rejected an unusable code: {unusable_reason(row)}"
    return Step(at=row.at, actor="check", text=text, details={"dialect": row.dialect})


def unusable_reason(row: EventRow) -> str:
    return UNUSABLE_REASONS.get(row.detail, f"the reason is {row.detail}")


def _of_ticket(ticket: SpentTicket) -> Step:
    text = TICKET_USES[ticket.purpose]
    if ticket.purpose is not Purpose.CHANGE_PHONE:
        text += "; its session is still open" if ticket.session_lives else "; none of its sessions is open any more"
    return Step(at=ticket.spent_at, actor="auth-service", text=text, details={"user_id": ticket.user_id})


def _requested(at: datetime, purpose: Purpose, dialect: str, language: str = "") -> Step:
    details: dict[str, str | int] = {"language": language} if language else {}
    return Step(at=at, actor="client", text=f"requested a code ({purpose.value}) through {dialect}", details=details)


def tries_left(count: int | None) -> str:
    """How many tries are left, as a clause."""
    return "1 try is left" if count == 1 else f"{count} tries are left"


def format_duration(duration: timedelta) -> str:
    """A duration for people, such as ``0.018 s``, ``12 s``, ``5 min 0 s``, ``2 h 1 min`` or ``3 days``."""
    total = max(0.0, duration.total_seconds())
    if total < 60:
        return f"{total:.3f} s" if total < 10 else f"{total:.0f} s"
    minutes, seconds = divmod(round(total), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
