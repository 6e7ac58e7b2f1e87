"""Moves messages from parking queues into the database, where operators can list and choose them (decision 62)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from uuid import UUID

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from prometheus_client import Gauge

from shared.amqp import Connection, Queue, raise_on_broker_loss
from shared.amqp.consumer import ATTEMPT, REASON
from shared.amqp.queues import declare_parked
from shared.background import repeating
from shared.parked.message_store import ParkedMessage, ParkedMessageStore

INTERVAL_SECONDS = 5.0
BATCH = 200
MAX_REASON = 200
UNKNOWN_REASON = "not recorded"

PARKED = Gauge("haoma_parked_messages", "Messages that a consumer gave up and that wait for an operator")

log = structlog.get_logger()


class ParkedIntake:
    """Takes messages in batches: each is committed before the broker forgets it, so none is lost.

    A crash in between leaves a copy in the queue, which is recognised when it is read again. A batch that cannot be
    committed stays unacknowledged and is tried again: a message that returns to its queue too often would be dropped.
    """

    def __init__(self, queues: Sequence[Queue], connection: Connection, store: ParkedMessageStore) -> None:
        self._queues = queues
        self._connection = connection
        self._store = store
        self._channel: AbstractChannel | None = None
        self._pending: list[ParkedMessage] = []
        self._last: AbstractIncomingMessage | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take messages every few seconds until the block ends."""
        await self._connection.on_connect(self._open)
        try:
            async with repeating("parked", INTERVAL_SECONDS, self.take):
                yield
        finally:
            self._connection.remove_on_connect(self._open)

    async def _open(self) -> None:
        self._pending, self._last = [], None  # what the old channel had is in its queue again
        self._channel = await self._connection.channel(publisher_confirms=False)

    async def take(self) -> None:
        """Move everything that is parked now. Raises ``ConnectionError`` or ``AMQPError`` without the broker."""
        if self._channel is None:
            raise ConnectionError("no channel to take from")
        await self._commit()
        for queue in self._queues:
            parked = await raise_on_broker_loss(declare_parked(self._channel, queue))
            while await raise_on_broker_loss(self._read(queue, parked)):
                await raise_on_broker_loss(self._commit())
        await self._store.purge()
        PARKED.set(await self._store.count())

    async def _read(self, queue: Queue, parked: AbstractQueue) -> bool:
        """Read a batch. False if the queue is empty."""
        while len(self._pending) < BATCH and (message := await parked.get(no_ack=False, fail=False)):
            self._pending.append(_parked(queue, message))
            self._last = message
        return bool(self._pending)

    async def _commit(self) -> None:
        """Commit what was read, then let the broker forget it."""
        pending, last = self._pending, self._last  # a new channel forgets what the old one read
        if last is None:
            return
        await self._store.add(pending)
        await last.ack(multiple=True)
        log.warning("parked.taken", messages=len(pending))
        self._pending, self._last = [], None


def _parked(queue: Queue, message: AbstractIncomingMessage) -> ParkedMessage:
    reason, attempts = message.headers.get(REASON), message.headers.get(ATTEMPT)
    return ParkedMessage(
        _identity(queue, message),
        queue.name,
        message.body,
        str(reason)[:MAX_REASON] if reason else UNKNOWN_REASON,
        attempts if isinstance(attempts, int) else 0,
    )


def _identity(queue: Queue, message: AbstractIncomingMessage) -> UUID:
    """Equal for copies of one message, and different for different messages, even if a publisher repeats its ids."""
    digest = blake2b(digest_size=16)
    for part in (queue.name.encode(), (message.message_id or "").encode(), message.body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return UUID(bytes=digest.digest())
