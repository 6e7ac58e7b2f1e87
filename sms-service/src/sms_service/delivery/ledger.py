"""The delivery ledger as the rules see it: a message, its states, and how an attempt ends."""

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from shared.events.envelope import OutboxMessage
from shared.internal_api.sms import AccountNotice, Language, Purpose
from shared.values import value
from sms_service.delivery.routing import PreviousAttempt
from sms_service.send_command import QueuedMessage
from sms_service.senders.port import Outcome, SendResult
from sms_service.spending.money import MessageCost

ABANDONED_AFTER = timedelta(seconds=30)
FRESH_WITHIN = timedelta(seconds=5)
"""The age up to which a worker believes what a command carries, by its own clock. Older messages it reads."""
ABANDONED = "abandoned"
"""The failure of a message whose worker died or froze between claim and record. The message may have left."""


class MessageState(StrEnum):
    """The state of a message in the ledger. It only moves forward: from ``QUEUED`` to ``SENDING`` to a final state."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"


@value
class LedgerMessage:
    """A message as it was read from the ledger, or from a command.

    ``age`` and ``remaining`` are by the database's clock, or by the worker's for a message from a command.
    ``for_known`` says that a caller asked for it who is known to its number. ``previous_attempts`` are those of the
    last 24 hours for that number. ``segments`` is 0 until the text is composed. ``cost`` is the cost of the current
    attempt and ``previous_cost`` that of the one before, if prices are known.
    """

    message_id: UUID
    verification_id: UUID
    phone_ref: int
    purpose: Purpose
    state: MessageState
    sender: str
    version: int
    age: timedelta
    remaining: timedelta
    code_key_id: int
    language: Language
    dialect: str
    client: str
    phone_sealed: bytes = field(repr=False)
    notice: AccountNotice = AccountNotice.NONE
    for_known: bool = False
    previous_attempts: tuple[PreviousAttempt, ...] = ()
    segments: int = 0
    cost: MessageCost | None = None
    previous_cost: MessageCost | None = None

    @classmethod
    def fresh(cls, message_id: UUID, queued: QueuedMessage, now: datetime) -> "LedgerMessage | None":
        """The message that a command carries, as it was written; None if too much may have happened since.

        A claim tells whether it is still so: the message has its first version.
        """
        age = now - queued.created_at
        if abs(age) > FRESH_WITHIN:
            return None
        age = max(age, timedelta())
        return cls(
            message_id=message_id,
            verification_id=queued.verification_id,
            phone_ref=queued.phone_ref,
            purpose=queued.purpose,
            state=MessageState.QUEUED,
            sender="",
            version=1,
            age=age,
            remaining=queued.expires_at - queued.created_at - age,
            code_key_id=queued.code_key_id,
            language=queued.language,
            dialect=queued.dialect,
            client=queued.client,
            phone_sealed=queued.phone_sealed,
            notice=queued.notice,
            for_known=queued.for_known,
        )

    def with_segments(self, segments: int) -> "LedgerMessage":
        """The message with its composed text."""
        return self._changed(segments=segments)

    def with_cost(self, cost: MessageCost | None) -> "LedgerMessage":
        """The message before an attempt with this cost."""
        return self._changed(cost=cost, previous_cost=self.cost) if cost else self

    def with_attempt(self, sender: str) -> "LedgerMessage":
        """The message after the ledger has recorded the beginning of an attempt by ``sender``."""
        return self._changed(state=MessageState.SENDING, sender=sender, version=self.version + 1)

    def _changed(self, **changes: object) -> "LedgerMessage":
        """A copy, made three times for each message: ``replace`` would pass twenty fields through ``__init__``."""
        changed = object.__new__(LedgerMessage)
        changed.__dict__.update(self.__dict__, **changes)
        return changed


@value
class FinalState:
    """How an attempt, and with it a message, ended. ``failure`` is empty unless the message failed."""

    state: MessageState
    failure: str = ""
    detail: str = ""
    provider_id: str = ""

    @classmethod
    def of(cls, result: SendResult) -> "FinalState":
        """The final state of a message after a sender's result."""
        if result.outcome is Outcome.ACCEPTED:
            return cls(MessageState.SENT, "", result.detail, result.provider_id)
        return cls(MessageState.FAILED, result.outcome.value, result.detail, result.provider_id)

    @property
    def outcome(self) -> str:
        """The outcome of the attempt that was open, if there was one."""
        return self.failure or Outcome.ACCEPTED.value


class OverBudgetError(Exception):
    """A budget has no room for an attempt, so the attempt was not begun."""


class Ledger(Protocol):
    """Where messages are kept. Each call is atomic.

    ``claim`` and ``fail_over`` raise ``OverBudgetError`` if the ledger has budgets and they cannot pay the attempt.
    """

    async def find_queued(self, message_id: UUID) -> LedgerMessage | None: ...
    async def claim(self, message: LedgerMessage, sender: str) -> LedgerMessage | None: ...
    async def fail_over(self, message: LedgerMessage, sender: str, first: FinalState) -> LedgerMessage | None: ...
    async def find_stale(self, abandoned_after: timedelta, limit: int) -> Sequence[LedgerMessage]: ...
    async def finish(self, message: LedgerMessage, final_state: FinalState, event: OutboxMessage) -> bool: ...
