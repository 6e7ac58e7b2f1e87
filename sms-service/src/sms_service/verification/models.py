"""What passes between the rules of a code and its store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.events import OutboxMessage
from shared.internal_api.sms import Language, Purpose
from sms_service.verification.limits import Verification


@dataclass(frozen=True)
class AcceptedRequest:
    """One accepted request, to be written as a whole: number, verification, message and outbox."""

    phone_ref: int
    number_version: int
    verification: Verification
    purpose: Purpose
    phone_sealed: bytes
    dialect: str
    client: str
    language: Language
    message_id: UUID
    created_at: datetime
    messages: Sequence[OutboxMessage]
    to_test_number: bool = False


@dataclass(frozen=True)
class CheckAttempt:
    """A try that has been counted and may now be compared. ``at`` is its mark on the number.

    ``source_network`` is whom it was counted on besides, if anybody, in the window that ends at ``resets_at``.
    """

    verification_id: UUID
    phone_ref: int
    phone_sealed: bytes
    code_key_id: int
    tries: int
    version: int
    at: datetime
    source_network: str | None = None
    resets_at: datetime | None = None


@dataclass(frozen=True)
class Verified:
    """A verified number: since when, and what time it is now, by the database's clock."""

    verified_at: datetime
    now: datetime
