"""The values that pass between the rules of a code and its stores."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.events.envelope import OutboxMessage
from shared.internal_api.sms import Language, Purpose
from sms_service.spending.prefixes import NumberPrefixes
from sms_service.verification.limits import Verification


@dataclass(frozen=True)
class AcceptedRequest:
    """An accepted request for a code, written as a whole: number, verification, message and outbox."""

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
class CodeCheck:
    """A code to check: for a number, or for a verification alone. Incorrect codes count on ``source_network`` too."""

    phone_ref: int | None
    purpose: Purpose
    verification_id: UUID | None
    source_network: str | None = None


@dataclass(frozen=True)
class CheckAttempt:
    """A counted attempt, whose code may now be compared. ``at`` is its mark on the number.

    If it also counts on a ``source_network``, it does so in the window that ends at ``resets_at``.
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
class SuccessfulCheck:
    """A correct code, and the event to publish for the first one. Spending counts it under ``prefixes``, if any."""

    attempt: CheckAttempt
    event: OutboxMessage
    dialect: str
    prefixes: NumberPrefixes | None = None


@dataclass(frozen=True)
class Verified:
    """When a number was first verified, and the time now, both by the database's clock."""

    verified_at: datetime
    now: datetime
