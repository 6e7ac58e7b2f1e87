"""Applies delivery receipts to the attempts they report. Applying is idempotent, and receipts may come in any order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.errors import ErrorCode, ServiceError
from shared.events.catalogue import MessageDelivered, MessageFailed
from shared.events.envelope import OutboxMessage, new_event
from sms_service.events import SOURCE
from sms_service.senders.port import DeliveryStatus, Receipt

UNDELIVERED = "undelivered"
"""The failure in the event of a message that its sender accepted and did not deliver."""

RECEIPTS = Counter("haoma_receipts_total", "Receipts by their effect", ["sender", "effect"])
DELIVERED = Counter("haoma_codes_delivered_total", "Codes that a receipt reported as delivered", ["purpose", "dialect"])

NOTHING = "nothing"
"""The effect of a receipt that repeats what is known, or comes too late."""

log = structlog.get_logger()


_EVENT_VERSIONS = {DeliveryStatus.FAILED: 100, DeliveryStatus.DELIVERED: 101}
"""The versions of events from receipts: above those of delivery, and in the order of precedence."""


@dataclass(frozen=True)
class ReceiptCallback:
    """A provider's HTTP call as the gateway got it. ``url`` is the one it called; names of headers are lower case."""

    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class ReceiptBatch:
    """The receipts in a callback, and the JSON reply that the provider expects."""

    receipts: Sequence[Receipt]
    reply: str = "{}"


class ReceiptReader(Protocol):
    """Reads one sender's callbacks. Raises ``UNAUTHENTICATED`` if forged, ``PARAMETER_INVALID`` if malformed."""

    def read(self, callback: ReceiptCallback) -> ReceiptBatch: ...


@dataclass(frozen=True)
class ReportedAttempt:
    """The attempt that a receipt reports. ``receipt`` is the status of an earlier receipt, or empty."""

    message_id: UUID
    verification_id: UUID
    age: timedelta
    receipt: str
    purpose: str
    dialect: str


class ReceiptRepository(Protocol):
    """Where attempts are kept."""

    async def apply(
        self, sender: str, receipt: Receipt, decide: Callable[[ReportedAttempt], OutboxMessage | None]
    ) -> ReportedAttempt | None:
        """Lock the receipt's attempt, let ``decide`` make the event, and write both together.

        Returns the attempt as it was before, or None if there is no such attempt.
        """


class Receipts:
    """Applies receipts. ``wake`` is called after an event was committed to the outbox."""

    def __init__(
        self, repository: ReceiptRepository, readers: Mapping[str, ReceiptReader], wake: Callable[[], None]
    ) -> None:
        self._repository = repository
        self._readers = readers
        self._wake = wake

    @property
    def senders(self) -> list[str]:
        """The senders that have receipts over HTTP."""
        return sorted(self._readers)

    async def take(self, sender: str, callback: ReceiptCallback) -> str:
        """Verify a callback, apply its receipts and return the reply.

        Raises ``NOT_FOUND`` if the sender has no receipts over HTTP, and as its ``ReceiptReader``.
        """
        reader = self._readers.get(sender)
        if reader is None:
            raise ServiceError(ErrorCode.NOT_FOUND)
        try:
            batch = reader.read(callback)
        except ServiceError as error:
            RECEIPTS.labels(sender, error.code.value).inc()
            log.warning("receipt.refused", sender=sender, reason=error.code.value)
            raise
        for receipt in batch.receipts:
            if not await self.apply(sender, receipt):
                log.warning("receipt.unknown", sender=sender, effect="unknown", detail=receipt.detail)
        return batch.reply

    async def apply(self, sender: str, receipt: Receipt) -> bool:
        """Record one receipt and publish its event, unless it changes nothing. False if its message is unknown."""
        attempt = await self._repository.apply(sender, receipt, lambda attempt: _event(sender, receipt, attempt))
        effect = _effect(attempt, receipt)
        RECEIPTS.labels(sender, effect).inc()
        if attempt is None:
            return False
        log.info("receipt.applied", sender=sender, effect=effect, detail=receipt.detail)
        if effect == DeliveryStatus.DELIVERED:
            DELIVERED.labels(attempt.purpose, attempt.dialect).inc()
        if effect != NOTHING:
            self._wake()
        return True


def _effect(attempt: ReportedAttempt | None, receipt: Receipt) -> str:
    """The status that a receipt gave its attempt, ``nothing`` if it changed nothing, or ``unknown``."""
    if attempt is None:
        return "unknown"
    return receipt.status.value if changes(attempt.receipt, receipt.status) else NOTHING


def changes(recorded: str, status: DeliveryStatus) -> bool:
    """Whether a status replaces the recorded one: there is none yet, or it is a failure and the new one is not."""
    return not recorded or (recorded == DeliveryStatus.FAILED.value and status is DeliveryStatus.DELIVERED)


def _event(sender: str, receipt: Receipt, attempt: ReportedAttempt) -> OutboxMessage | None:
    if not changes(attempt.receipt, receipt.status):
        return None
    fields = {
        "message_id": str(attempt.message_id),
        "verification_id": str(attempt.verification_id),
        "sender": sender,
        "latency_ms": max(0, round(attempt.age.total_seconds() * 1000)),
    }
    event: MessageDelivered | MessageFailed
    if receipt.status is DeliveryStatus.DELIVERED:
        event = MessageDelivered.model_validate(fields)
    else:
        event = MessageFailed.model_validate(fields | {"failure": UNDELIVERED})
    return new_event(event, source=SOURCE, subject=event.message_id, version=_EVENT_VERSIONS[receipt.status])
