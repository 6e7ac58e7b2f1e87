"""Deliver messages: choose, claim, send, record. At most once by each sender, whatever dies in between."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag
from prometheus_client import Counter, Histogram

from shared.events import MessageExpired, MessageFailed, MessageSent, OutboxMessage, new_event
from shared.internal_api.sms import Language, Purpose
from shared.phone import E164, PhoneKeys
from sms_service.delivery.routing import Choice, PreviousAttempt
from sms_service.delivery.sender_pool import SenderPool
from sms_service.events import SOURCE
from sms_service.messages.templates import BUILT_IN, MessageContext, Texts
from sms_service.otp import CodeDeriver
from sms_service.senders.port import Message, Outcome, SendResult
from sms_service.spending.gate import NO_SPENDING_LIMITS
from sms_service.spending.money import MessageCost
from sms_service.spending.refusals import BlockedError

ABANDONED_AFTER = timedelta(seconds=30)
ABANDONED = "abandoned"
"""The failure of a message whose worker died, or froze, between claim and record. It may have left."""
SWEEP_BATCH = 500

FINISHED = Counter("haoma_messages_finished_total", "Messages by how they ended", ["sender", "outcome"])
LATENCY = Histogram(
    "haoma_message_duration_seconds",
    "Time from a request for a code to the sender's answer",
    ["sender"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

SEGMENTS = Counter("haoma_message_segments_total", "Short messages that carried accepted texts", ["sender"])

_FINAL = frozenset({Outcome.ACCEPTED, Outcome.INVALID_NUMBER})
"""Answers after which no other sender is asked."""

log = structlog.get_logger()


class MessageState(StrEnum):
    """A message's life in the ledger: one way only, from ``QUEUED`` by ``SENDING`` to one of the others."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True)
class LedgerMessage:
    """A message of the ledger as it was read: ``age`` and ``remaining`` by the database's clock.

    ``past`` is the last day of its number, for the one who is to choose a sender. ``segments`` is how many short
    messages its text takes: 0 until it has been composed. ``charge`` is what its attempt costs, where that is known,
    and ``replaced`` what the one before it did.
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
    past: tuple[PreviousAttempt, ...] = ()
    segments: int = 0
    charge: MessageCost | None = None
    replaced: MessageCost | None = None

    def begun(self, sender: str) -> "LedgerMessage":
        """The entry after an attempt by ``sender`` was written."""
        return replace(self, state=MessageState.SENDING, sender=sender, version=self.version + 1)


class OverBudgetError(Exception):
    """A budget has no room for an attempt: nothing was claimed."""


@dataclass(frozen=True)
class FinalState:
    """How an attempt, and with it a message, ended. ``failure`` is empty for one that was sent or expired."""

    state: MessageState
    failure: str = ""
    detail: str = ""
    provider_id: str = ""

    @classmethod
    def of(cls, answer: SendResult) -> "FinalState":
        """What a sender's answer means for the message."""
        if answer.outcome is Outcome.ACCEPTED:
            return cls(MessageState.SENT, "", answer.detail, answer.provider_id)
        return cls(MessageState.FAILED, answer.outcome.value, answer.detail, answer.provider_id)

    @property
    def outcome(self) -> str:
        """The outcome of the attempt that was open, if one was."""
        return self.failure or Outcome.ACCEPTED.value


class Ledger(Protocol):
    """Where messages are kept. Each call is atomic. One that minds the money raises ``OverBudgetError`` for an attempt."""

    async def find(self, message_id: UUID) -> LedgerMessage | None: ...
    async def claim(self, entry: LedgerMessage, sender: str) -> LedgerMessage | None: ...
    async def fail_over(self, entry: LedgerMessage, answer: FinalState, sender: str) -> LedgerMessage | None: ...
    async def stale(self, abandoned_after: timedelta, limit: int) -> Sequence[LedgerMessage]: ...
    async def finish(self, entry: LedgerMessage, ending: FinalState, told: OutboxMessage) -> bool: ...


class QueuedSpendingGuard(Protocol):
    """Raises ``BlockedError`` for a message that was asked for so long ago: its prefix may have been stopped since."""

    async def admit_queued(self, number: E164, age: timedelta) -> None: ...


class Delivery:
    """Carries out send commands. ``wake`` is called after something was committed for the outbox."""

    def __init__(
        self,
        ledger: Ledger,
        sender_pool: SenderPool,
        deriver: CodeDeriver,
        phones: PhoneKeys,
        wake: Callable[[], None],
        *,
        texts: Texts = BUILT_IN,
        gate: QueuedSpendingGuard = NO_SPENDING_LIMITS,
    ) -> None:
        self._ledger = ledger
        self._sender_pool = sender_pool
        self._deriver = deriver
        self._phones = phones
        self._wake = wake
        self._texts = texts
        self._gate = gate

    async def deliver(self, message_id: UUID) -> None:
        """Send one message, if nobody has claimed it and its code still lives; by a second sender if need be.

        Each attempt is committed before its sender is called: a second command for it finds nothing to claim.
        """
        entry = await self._ledger.find(message_id)
        if entry is None:
            log.info("message.duplicate", message_id=str(message_id))
        elif entry.remaining <= timedelta():
            await self._finish(entry, FinalState(MessageState.EXPIRED), entry.age)
        else:
            await self._deliver(entry)

    async def _deliver(self, entry: LedgerMessage) -> None:
        started = time.monotonic()
        try:
            message = self._compose(entry)
        except (LookupError, InvalidTag):
            log.error("message.key_missing", message_id=str(entry.message_id), key_id=entry.code_key_id)
            await self._finish(
                entry, FinalState(MessageState.FAILED, Outcome.MISCONFIGURED.value, "key_missing"), entry.age
            )
            return
        entry = replace(entry, segments=message.segments)
        choice, claimed = await self._begin(entry, message)
        if choice.sender is None:
            await self._finish(entry, FinalState(MessageState.FAILED, choice.failure), entry.age)
            return
        if claimed is None:
            log.info("message.duplicate", message_id=str(entry.message_id))
            return
        claimed, answer = await self._attempt(claimed, message)
        await self._finish(claimed, FinalState.of(answer), entry.age + _since(started))

    async def _attempt(self, entry: LedgerMessage, message: Message) -> tuple[LedgerMessage, SendResult]:
        """Ask the sender that was claimed and, when it fails, one more. The entry is that of the last attempt."""
        started = time.monotonic()
        answer = await self._sender_pool.send(entry.sender, message, entry.remaining)
        if answer.outcome in _FINAL:
            return entry, answer
        _, second = await self._start(entry, message, answer)
        if second is None:
            return entry, answer
        log.info("message.moved_on", message_id=str(entry.message_id), sender=entry.sender, to=second.sender)
        return second, await self._sender_pool.send(second.sender, message, second.remaining - _since(started))

    async def _begin(self, entry: LedgerMessage, message: Message) -> tuple[Choice, LedgerMessage | None]:
        try:
            await self._gate.admit_queued(message.to, entry.age)
        except BlockedError as stopped:
            return Choice(None, stopped.reason), None
        return await self._start(entry, message)

    async def _start(
        self, entry: LedgerMessage, message: Message, failed: SendResult | None = None
    ) -> tuple[Choice, LedgerMessage | None]:
        """Begin an attempt by the first sender that can be asked, and paid; ``failed`` is how the one before ended."""
        tried = entry.sender if failed else None
        choice = self._sender_pool.choose(message, entry.verification_id, entry.past, tried)
        while choice.sender is not None:
            priced = replace(entry, charge=choice.charge, replaced=entry.charge) if choice.charge else entry
            try:
                if failed is None:
                    return choice, await self._ledger.claim(priced, choice.sender)
                return choice, await self._ledger.fail_over(priced, FinalState.of(failed), choice.sender)
            except OverBudgetError:
                choice = self._sender_pool.choose(message, entry.verification_id, entry.past, tried, dear=choice.sender)
        return choice, None

    def _compose(self, entry: LedgerMessage) -> Message:
        number = self._phones.open(entry.phone_sealed)
        code = self._deriver.code(entry.code_key_id, entry.verification_id, number, entry.purpose)
        occasion = MessageContext(entry.purpose, entry.language, number, entry.dialect, entry.client)
        text = self._texts.compose(code, occasion, entry.remaining)
        return Message(entry.message_id, number, text, code, entry.purpose, entry.language, entry.remaining)

    async def sweep(self) -> int:
        """End what nobody will: messages of dead workers, and those still queued past their code's life."""
        stale = await self._ledger.stale(ABANDONED_AFTER, SWEEP_BATCH)
        for entry in stale:
            abandoned = entry.state is MessageState.SENDING
            await self._finish(
                entry,
                FinalState(MessageState.FAILED, ABANDONED) if abandoned else FinalState(MessageState.EXPIRED),
                entry.age,
            )
        return len(stale)

    async def _finish(self, entry: LedgerMessage, ending: FinalState, took: timedelta) -> None:
        if not await self._ledger.finish(entry, ending, _told(entry, ending, took)):
            log.warning("message.finished_elsewhere", message_id=str(entry.message_id), state=ending.state.value)
            return
        self._wake()
        FINISHED.labels(entry.sender, ending.failure or ending.state.value).inc()
        if ending.state is MessageState.SENT:
            LATENCY.labels(entry.sender).observe(took.total_seconds())
            SEGMENTS.labels(entry.sender).inc(entry.segments)
        log.info(
            f"message.{ending.state.value}",
            message_id=str(entry.message_id),
            verification_id=str(entry.verification_id),
            sender=entry.sender,
            failure=ending.failure,
        )


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - started)


def _told(entry: LedgerMessage, ending: FinalState, took: timedelta) -> OutboxMessage:
    about = {
        "message_id": str(entry.message_id),
        "verification_id": str(entry.verification_id),
        "sender": entry.sender,
        "latency_ms": max(0, round(took.total_seconds() * 1000)),
    }
    fact: MessageSent | MessageFailed | MessageExpired
    if ending.state is MessageState.SENT:
        fact = MessageSent.model_validate(about | {"segments": entry.segments})
    elif ending.state is MessageState.EXPIRED:
        fact = MessageExpired.model_validate(about)
    else:
        fact = MessageFailed.model_validate(about | {"failure": ending.failure})
    return new_event(fact, source=SOURCE, subject=fact.message_id, version=entry.version + 1)
