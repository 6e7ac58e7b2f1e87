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

from shared.events import MessageExpired, MessageFailed, MessageSent, Outgoing, event
from shared.internal_api.sms import Language, Purpose
from shared.phone import E164, PhoneKeys
from sms_service.delivery.routing import Choice, Past
from sms_service.delivery.sender_pool import Carriers
from sms_service.events import SOURCE
from sms_service.messages.templates import BUILT_IN, Occasion, Texts
from sms_service.otp import Deriver
from sms_service.senders.port import Answer, Message, Outcome
from sms_service.spending.gate import UNWATCHED
from sms_service.spending.money import Charge
from sms_service.spending.refusals import StoppedError

ABANDONED_AFTER = timedelta(seconds=30)
ABANDONED = "abandoned"
"""The failure of a message whose worker died, or froze, between claim and record. It may have left."""
SWEEP_BATCH = 500

FINISHED = Counter("haoma_messages_finished_total", "Messages by how they ended", ["sender", "outcome"])
LATENCY = Histogram(
    "haoma_message_seconds",
    "Time from a request for a code to the sender's answer",
    ["sender"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

SEGMENTS = Counter("haoma_message_segments_total", "Short messages that carried accepted texts", ["sender"])

_FINAL = frozenset({Outcome.ACCEPTED, Outcome.INVALID_NUMBER})
"""Answers after which no other sender is asked."""

log = structlog.get_logger()


class State(StrEnum):
    """A message's life in the ledger: one way only, from ``QUEUED`` by ``SENDING`` to one of the others."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Entry:
    """A message of the ledger as it was read: ``age`` and ``remaining`` by the database's clock.

    ``past`` is the last day of its number, for the one who is to choose a sender. ``segments`` is how many short
    messages its text takes: 0 until it has been composed. ``charge`` is what its attempt costs, where that is known,
    and ``replaced`` what the one before it did.
    """

    message_id: UUID
    verification_id: UUID
    phone_ref: int
    purpose: Purpose
    state: State
    sender: str
    version: int
    age: timedelta
    remaining: timedelta
    code_key_id: int
    language: Language
    dialect: str
    client: str
    phone_sealed: bytes = field(repr=False)
    past: tuple[Past, ...] = ()
    segments: int = 0
    charge: Charge | None = None
    replaced: Charge | None = None

    def begun(self, sender: str) -> "Entry":
        """The entry after an attempt by ``sender`` was written."""
        return replace(self, state=State.SENDING, sender=sender, version=self.version + 1)


class TooDearError(Exception):
    """A budget has no room for an attempt: nothing was claimed."""


@dataclass(frozen=True)
class Ending:
    """How an attempt, and with it a message, ended. ``failure`` is empty for one that was sent or expired."""

    state: State
    failure: str = ""
    detail: str = ""
    provider_id: str = ""

    @classmethod
    def of(cls, answer: Answer) -> "Ending":
        """What a sender's answer means for the message."""
        if answer.outcome is Outcome.ACCEPTED:
            return cls(State.SENT, "", answer.detail, answer.provider_id)
        return cls(State.FAILED, answer.outcome.value, answer.detail, answer.provider_id)

    @property
    def outcome(self) -> str:
        """The outcome of the attempt that was open, if one was."""
        return self.failure or Outcome.ACCEPTED.value


class Ledger(Protocol):
    """Where messages are kept. Each call is atomic. One that minds the money raises ``TooDearError`` for an attempt."""

    async def find(self, message_id: UUID) -> Entry | None: ...
    async def claim(self, entry: Entry, sender: str) -> Entry | None: ...
    async def move_on(self, entry: Entry, answer: Ending, sender: str) -> Entry | None: ...
    async def stale(self, abandoned_after: timedelta, limit: int) -> Sequence[Entry]: ...
    async def finish(self, entry: Entry, ending: Ending, told: Outgoing) -> bool: ...


class Gate(Protocol):
    """Raises ``StoppedError`` for a message that was asked for so long ago: its prefix may have been stopped since."""

    async def admit_queued(self, number: E164, age: timedelta) -> None: ...


class Delivery:
    """Carries out send commands. ``wake`` is called after something was committed for the outbox."""

    def __init__(
        self,
        ledger: Ledger,
        carriers: Carriers,
        deriver: Deriver,
        phones: PhoneKeys,
        wake: Callable[[], None],
        *,
        texts: Texts = BUILT_IN,
        gate: Gate = UNWATCHED,
    ) -> None:
        self._ledger = ledger
        self._carriers = carriers
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
            await self._finish(entry, Ending(State.EXPIRED), entry.age)
        else:
            await self._deliver(entry)

    async def _deliver(self, entry: Entry) -> None:
        started = time.monotonic()
        try:
            message = self._compose(entry)
        except (LookupError, InvalidTag):
            log.error("message.key_missing", message_id=str(entry.message_id), key_id=entry.code_key_id)
            await self._finish(entry, Ending(State.FAILED, Outcome.MISCONFIGURED.value, "key_missing"), entry.age)
            return
        entry = replace(entry, segments=message.segments)
        choice, claimed = await self._begin(entry, message)
        if choice.sender is None:
            await self._finish(entry, Ending(State.FAILED, choice.failure), entry.age)
            return
        if claimed is None:
            log.info("message.duplicate", message_id=str(entry.message_id))
            return
        claimed, answer = await self._attempt(claimed, message)
        await self._finish(claimed, Ending.of(answer), entry.age + _since(started))

    async def _attempt(self, entry: Entry, message: Message) -> tuple[Entry, Answer]:
        """Ask the sender that was claimed and, when it fails, one more. The entry is that of the last attempt."""
        started = time.monotonic()
        answer = await self._carriers.send(entry.sender, message, entry.remaining)
        if answer.outcome in _FINAL:
            return entry, answer
        _, second = await self._start(entry, message, answer)
        if second is None:
            return entry, answer
        log.info("message.moved_on", message_id=str(entry.message_id), sender=entry.sender, to=second.sender)
        return second, await self._carriers.send(second.sender, message, second.remaining - _since(started))

    async def _begin(self, entry: Entry, message: Message) -> tuple[Choice, Entry | None]:
        try:
            await self._gate.admit_queued(message.to, entry.age)
        except StoppedError as stopped:
            return Choice(None, stopped.why), None
        return await self._start(entry, message)

    async def _start(self, entry: Entry, message: Message, failed: Answer | None = None) -> tuple[Choice, Entry | None]:
        """Begin an attempt by the first sender that can be asked, and paid; ``failed`` is how the one before ended."""
        tried = entry.sender if failed else None
        choice = self._carriers.choose(message, entry.verification_id, entry.past, tried)
        while choice.sender is not None:
            priced = replace(entry, charge=choice.charge, replaced=entry.charge) if choice.charge else entry
            try:
                if failed is None:
                    return choice, await self._ledger.claim(priced, choice.sender)
                return choice, await self._ledger.move_on(priced, Ending.of(failed), choice.sender)
            except TooDearError:
                choice = self._carriers.choose(message, entry.verification_id, entry.past, tried, dear=choice.sender)
        return choice, None

    def _compose(self, entry: Entry) -> Message:
        number = self._phones.open(entry.phone_sealed)
        code = self._deriver.code(entry.code_key_id, entry.verification_id, number, entry.purpose)
        occasion = Occasion(entry.purpose, entry.language, number, entry.dialect, entry.client)
        text = self._texts.compose(code, occasion, entry.remaining)
        return Message(entry.message_id, number, text, code, entry.purpose, entry.language, entry.remaining)

    async def sweep(self) -> int:
        """End what nobody will: messages of dead workers, and those still queued past their code's life."""
        stale = await self._ledger.stale(ABANDONED_AFTER, SWEEP_BATCH)
        for entry in stale:
            abandoned = entry.state is State.SENDING
            await self._finish(
                entry, Ending(State.FAILED, ABANDONED) if abandoned else Ending(State.EXPIRED), entry.age
            )
        return len(stale)

    async def _finish(self, entry: Entry, ending: Ending, took: timedelta) -> None:
        if not await self._ledger.finish(entry, ending, _told(entry, ending, took)):
            log.warning("message.finished_elsewhere", message_id=str(entry.message_id), state=ending.state.value)
            return
        self._wake()
        FINISHED.labels(entry.sender, ending.failure or ending.state.value).inc()
        if ending.state is State.SENT:
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


def _told(entry: Entry, ending: Ending, took: timedelta) -> Outgoing:
    about = {
        "message_id": str(entry.message_id),
        "verification_id": str(entry.verification_id),
        "sender": entry.sender,
        "latency_ms": max(0, round(took.total_seconds() * 1000)),
    }
    fact: MessageSent | MessageFailed | MessageExpired
    if ending.state is State.SENT:
        fact = MessageSent.model_validate(about | {"segments": entry.segments})
    elif ending.state is State.EXPIRED:
        fact = MessageExpired.model_validate(about)
    else:
        fact = MessageFailed.model_validate(about | {"failure": ending.failure})
    return event(fact, source=SOURCE, subject=fact.message_id, version=entry.version + 1)
