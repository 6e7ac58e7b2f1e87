"""What happens to a number that no other row tells: refusals, and codes that came back. Kept so it can be explained."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from shared.internal_api.sms import Purpose

REFUSALS_PER_DAY = 40
UNUSABLE_CHECKS_PER_DAY = 10
"""How many are kept for one number in 24 hours, however many there are. Wrong tries have their own limits."""
CALLER = "caller"
"""The limiter of callers who ask too often: of their refusals one a minute is kept."""


class EventKind(StrEnum):
    """The kinds of happenings."""

    REFUSED = "refused"
    """A code was asked for and not sent; ``detail`` is the limiter, or which of two things spending did."""
    WRONG = "wrong"
    """A wrong code came back, and a try was counted."""
    RIGHT = "right"
    """The right code came back for the first time."""
    DEAD = "dead"
    """A code came back for a verification that no code can open; ``detail`` is why, a ``UnusableReason``."""


class UnusableReason(StrEnum):
    """Why no code opens a verification."""

    REPLACED = "replaced"
    USED_UP = "used_up"
    SPENT = "spent"
    EXPIRED = "expired"
    LIMITED = "limited"
    """It lives, but the number or the network of the guess has too many wrong tries behind it."""


@dataclass(frozen=True)
class VerificationEvent:
    """One of them, as it is written. A refusal belongs to no verification."""

    phone_ref: int
    kind: EventKind
    purpose: Purpose
    dialect: str
    verification_id: UUID | None = None
    detail: str = ""
    retry_after: int | None = None
    tries_left: int | None = None
