"""What the tables hold of one number: what a story is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.internal_api.auth import SpentTickets
from shared.internal_api.sms import Purpose
from sms_service.delivery.ledger import MessageState
from sms_service.verification.audit_events import EventKind


@dataclass(frozen=True)
class MessageRow:
    """A message of the ledger."""

    message_id: UUID
    verification_id: UUID
    purpose: Purpose
    dialect: str
    language: str
    state: MessageState
    sender: str
    failure: str
    created_at: datetime
    expires_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class AttemptRow:
    """A sender that was asked to carry a message, what it answered, and what its receipt said."""

    message_id: UUID
    sender: str
    outcome: str
    detail: str
    provider_id: str
    receipt: str
    receipt_detail: str
    started_at: datetime
    finished_at: datetime | None
    receipt_at: datetime | None


@dataclass(frozen=True)
class EventRow:
    """A refusal, or a code that came back."""

    verification_id: UUID | None
    at: datetime
    kind: EventKind
    purpose: Purpose
    dialect: str
    detail: str
    retry_after: int | None
    tries_left: int | None


@dataclass(frozen=True)
class VerificationRow:
    """A verification that is still the current one of its number and purpose."""

    verification_id: UUID
    verified_at: datetime | None


@dataclass(frozen=True)
class History:
    """All of it, each kind oldest first, as it was ``now`` by the database's clock."""

    now: datetime
    messages: Sequence[MessageRow] = ()
    attempts: Sequence[AttemptRow] = ()
    verification_events: Sequence[EventRow] = ()
    verifications: Sequence[VerificationRow] = ()

    def verified(self) -> dict[UUID, datetime]:
        """When each verification's right code came back."""
        told = {
            row.verification_id: row.at
            for row in self.verification_events
            if row.verification_id and row.kind is EventKind.RIGHT
        }
        return {row.verification_id: row.verified_at for row in self.verifications if row.verified_at} | told


@dataclass(frozen=True)
class Course:
    """The course of one verification, or of refusals that belong to none. ``spent`` is None when nobody could say."""

    verification_id: UUID | None
    purpose: Purpose
    messages: Sequence[MessageRow] = ()
    attempts: Sequence[AttemptRow] = ()
    refusals: Sequence[EventRow] = ()
    checks: Sequence[EventRow] = ()
    verified_at: datetime | None = None
    spent: SpentTickets | None = None

    @property
    def began(self) -> datetime:
        """When a code was asked for first."""
        return min(self._asked)

    @property
    def asked_last(self) -> datetime:
        """When a code was asked for last, whether it was sent or refused."""
        return max(self._asked)

    @property
    def _asked(self) -> list[datetime]:
        return [row.created_at for row in self.messages] + [row.at for row in self.refusals]

    def attempts_of(self, message: MessageRow) -> list[AttemptRow]:
        """Who was asked to carry a message, in order."""
        return [row for row in self.attempts if row.message_id == message.message_id]
