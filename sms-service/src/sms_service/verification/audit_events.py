"""What an operator needs to know about a number and no other table shows: refusals, and codes that were checked."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.internal_api.sms import Purpose

REFUSALS_PER_DAY = 40
UNUSABLE_CHECKS_PER_DAY = 10
"""How many are kept for one number in 24 hours. Incorrect codes need no cap here: they have limits of their own."""
CALLER: Final = "caller"
"""The limiter on callers. One of its refusals a minute is kept for each place: a site, an app or a user."""


class EventKind(StrEnum):
    """The kinds of verification events."""

    REFUSED = "refused"
    """A code was requested and not sent. ``detail`` is the limiter, or the reason why spending refused."""
    INCORRECT = "incorrect"
    """An incorrect code was entered, and the attempt counted."""
    CORRECT = "correct"
    """The correct code was entered for the first time."""
    UNUSABLE = "unusable"
    """A code was entered for a verification that no code can pass. ``detail`` is an ``UnusableReason``."""


class UnusableReason(StrEnum):
    """Why no code passes a verification."""

    REPLACED = "replaced"
    USED_UP = "used_up"
    SPENT = "spent"
    """It was used before, and not by who may repeat it."""
    EXPIRED = "expired"
    LIMITED = "limited"
    """It is live, but its number or the source network has had too many incorrect codes."""


@dataclass(frozen=True)
class VerificationEvent:
    """One event as it is written. A refusal has no verification."""

    phone_ref: int
    kind: EventKind
    purpose: Purpose
    dialect: str
    verification_id: UUID | None = None
    detail: str = ""
    retry_after: int | None = None
    tries_left: int | None = None
