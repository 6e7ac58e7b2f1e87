"""Receipts: what became of a message after a sender took it. Idempotent, and in whatever order they come."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.errors import ErrorCode, ServiceError
from shared.events import MessageDelivered, MessageFailed, OutboxMessage, new_event
from sms_service.events import SOURCE

UNDELIVERED = "undelivered"
"""The failure that events tell of a message which its sender took and did not deliver."""

RECEIPTS = Counter("haoma_receipts_total", "Receipts by what they changed", ["sender", "effect"])

log = structlog.get_logger()


class DeliveryStatus(StrEnum):
    """What a receipt says. Delivered has the last word: a telephone that has a message keeps it."""

    FAILED = "failed"
    DELIVERED = "delivered"


_VERSIONS = {DeliveryStatus.FAILED: 100, DeliveryStatus.DELIVERED: 101}
"""Versions of events told of receipts: above those of sending, and in the order of precedence."""


@dataclass(frozen=True)
class Receipt:
    """One message's fate. It is known by our id, where the provider gives it back, or else by the provider's."""

    fate: DeliveryStatus
    message_id: UUID | None = None
    provider_id: str = field(default="", repr=False)
    detail: str = ""


@dataclass(frozen=True)
class Callback:
    """A provider's call as it came to the gateway: ``url`` is what it called; names of headers are in lower case."""

    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Reading:
    """What a callback told, and the JSON its provider wants to hear."""

    receipts: Sequence[Receipt]
    reply: str = "{}"


class Reader(Protocol):
    """Reads one sender's callbacks. Raises ``UNAUTHENTICATED`` for a forged one, ``PARAMETER_INVALID`` for nonsense."""

    def read(self, callback: Callback) -> Reading: ...


@dataclass(frozen=True)
class ReceiptTarget:
    """The attempt that a receipt is about."""

    message_id: UUID
    verification_id: UUID
    age: timedelta
    receipt: str


class ReceiptRepository(Protocol):
    """Where attempts are kept."""

    async def apply(
        self, sender: str, receipt: Receipt, decide: Callable[[ReceiptTarget], OutboxMessage | None]
    ) -> bool | None:
        """Write a receipt with the event that ``decide`` makes of its attempt, which nobody else changes meanwhile.

        False when it makes none, and None when there is no such attempt.
        """


class Receipts:
    """Takes receipts. ``wake`` is called after something was committed for the outbox."""

    def __init__(self, repository: ReceiptRepository, readers: Mapping[str, Reader], wake: Callable[[], None]) -> None:
        self._repository = repository
        self._readers = readers
        self._wake = wake

    async def take(self, sender: str, callback: Callback) -> str:
        """Check a callback, apply what it tells and give the answer. Raises ``NOT_FOUND`` where none are taken."""
        reader = self._readers.get(sender)
        if reader is None:
            raise ServiceError(ErrorCode.NOT_FOUND)
        try:
            reading = reader.read(callback)
        except ServiceError as error:
            RECEIPTS.labels(sender, error.code.value).inc()
            log.warning("receipt.refused", sender=sender, reason=error.code.value)
            raise
        for receipt in reading.receipts:
            await self.apply(sender, receipt)
        return reading.reply

    async def apply(self, sender: str, receipt: Receipt) -> bool:
        """Record one receipt and tell it, unless that changes nothing. False when its message is unknown."""
        applied = await self._repository.apply(sender, receipt, lambda attempt: _told(sender, receipt, attempt))
        effect = {None: "unknown", False: "nothing", True: receipt.fate.value}[applied]
        RECEIPTS.labels(sender, effect).inc()
        log.info("receipt.taken", sender=sender, effect=effect, detail=receipt.detail)
        if applied:
            self._wake()
        return applied is not None


def changes(known: str, fate: DeliveryStatus) -> bool:
    """Whether a receipt adds to what is known: nothing yet, or a failure that was none."""
    return not known or (known == DeliveryStatus.FAILED.value and fate is DeliveryStatus.DELIVERED)


def _told(sender: str, receipt: Receipt, attempt: ReceiptTarget) -> OutboxMessage | None:
    if not changes(attempt.receipt, receipt.fate):
        return None
    about = {
        "message_id": str(attempt.message_id),
        "verification_id": str(attempt.verification_id),
        "sender": sender,
        "latency_ms": max(0, round(attempt.age.total_seconds() * 1000)),
    }
    fact: MessageDelivered | MessageFailed
    if receipt.fate is DeliveryStatus.DELIVERED:
        fact = MessageDelivered.model_validate(about)
    else:
        fact = MessageFailed.model_validate(about | {"failure": UNDELIVERED})
    return new_event(fact, source=SOURCE, subject=fact.message_id, version=_VERSIONS[receipt.fate])
