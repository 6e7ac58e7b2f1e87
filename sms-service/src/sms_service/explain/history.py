"""The rows of one number that a report is built from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.internal_api.auth import SpentTickets
from shared.internal_api.sms import AccountNotice, Purpose
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
    notice: AccountNotice = AccountNotice.NONE


@dataclass(frozen=True)
class AttemptRow:
    """A call to a sender for a message, its outcome, and its receipt."""

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
    """A refused request, or a code that a user entered."""

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
    """The current verification of a number and a purpose."""

    verification_id: UUID
    verified_at: datetime | None


@dataclass(frozen=True)
class History:
    """All rows of a number, each kind oldest first, as of ``now`` by the database's clock."""

    now: datetime
    messages: Sequence[MessageRow] = ()
    attempts: Sequence[AttemptRow] = ()
    verification_events: Sequence[EventRow] = ()
    verifications: Sequence[VerificationRow] = ()

    def verified_at(self) -> dict[UUID, datetime]:
        """When the correct code of each verification was entered."""
        by_event = {
            row.verification_id: row.at
            for row in self.verification_events
            if row.verification_id and row.kind is EventKind.CORRECT
        }
        by_row = {row.verification_id: row.verified_at for row in self.verifications if row.verified_at}
        return by_row | by_event


@dataclass(frozen=True)
class SampledRefusals:
    """How many refusals were kept lately, for all numbers, of the kinds of which only a sample is kept."""

    callers: int = 0
    spending: int = 0


RECENT_MINUTES = 60
"""How far back sampled refusals are counted."""


@dataclass(frozen=True)
class TimelineRows:
    """The rows of one timeline: of one verification, or of refused requests that belong to none.

    ``spent`` has the tickets that were spent, as auth-service knows them; None if it did not answer.
    """

    verification_id: UUID | None
    purpose: Purpose
    messages: Sequence[MessageRow] = ()
    attempts: Sequence[AttemptRow] = ()
    refusals: Sequence[EventRow] = ()
    checks: Sequence[EventRow] = ()
    verified_at: datetime | None = None
    spent: SpentTickets | None = None

    @property
    def first_requested_at(self) -> datetime:
        return min(self._requested_at)

    @property
    def last_requested_at(self) -> datetime:
        """The time of the last request, whether it was accepted or refused."""
        return max(self._requested_at)

    @property
    def _requested_at(self) -> list[datetime]:
        return [row.created_at for row in self.messages] + [row.at for row in self.refusals]

    def attempts_for(self, message: MessageRow) -> list[AttemptRow]:
        """The attempts to send a message, in order."""
        return [row for row in self.attempts if row.message_id == message.message_id]
