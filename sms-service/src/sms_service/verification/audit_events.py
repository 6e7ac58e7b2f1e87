"""The audit trail of codes: requests that were refused, and codes that were checked, each with how it ended."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.audit.chain import AuditTable
from shared.internal_api.sms import Purpose

REFUSALS_PER_DAY = 40
UNUSABLE_CHECKS_PER_DAY = 10
"""How many are kept for one number in 24 hours. Incorrect codes need no cap here: they have limits of their own."""
CALLER: Final = "caller"
"""The limiter on callers. One of its refusals a minute is kept for each place: a site, an app or a user."""


AUDIT_TABLE: Final = AuditTable(
    name="verification_events",
    chain="sms",
    lasting=("at", "kind", "purpose", "dialect", "detail", "retry_after", "tries_left"),
    erasable=("phone_ref", "verification_id", "network", "salt"),
    action="kind",
    erasure="erased",
)
"""What the seals of verification events cover."""


class EventKind(StrEnum):
    """The kinds of verification events."""

    REFUSED = "refused"
    """A code was requested and not sent. ``detail`` is the limiter, or the reason why spending refused."""
    INCORRECT = "incorrect"
    """An incorrect code was entered, and the attempt counted."""
    CORRECT = "correct"
    """The correct code was entered for the first time."""
    REPEATED = "repeated"
    """The correct code was entered again, and gave its ticket again."""
    UNUSABLE = "unusable"
    """A code was entered for a verification that no code can pass. ``detail`` is an ``UnusableReason``."""
    ERASED = "erased"
    """The account of a number was erased. ``detail`` is how many of these rows were emptied."""


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
    """One event as it is written. A refusal has no verification. ``network`` is where the request came from."""

    phone_ref: int
    kind: EventKind
    purpose: Purpose
    dialect: str
    network: str
    verification_id: UUID | None = None
    detail: str = ""
    retry_after: int | None = None
    tries_left: int | None = None
