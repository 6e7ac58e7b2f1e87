"""The relay publishes what was committed to the outbox, and deletes what the broker has confirmed."""

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from shared.amqp import Publisher, raise_on_broker_loss
from shared.background import next_tick, repeating, running
from shared.events.envelope import OutboxMessage
from shared.outbox.parcels import NO_JOINS, Join, Row, parcels_of, row_of
from shared.outbox.row_store import DELETE_PUBLISHED, HAS_ROWS, MEASURE, PUT_BACK, TAKE
from shared.postgres import Connection, Pool, transaction

BATCH = 200
POLL_SECONDS = 1.0
COLLECT_SECONDS = 0.1
"""The pause after the first wake-up, so that the events of many commits are published in one batch."""
GATHER_SECONDS = 0.05
"""The least time between two batches of messages that are handed over.

What comes after a pause leaves at once. What comes sooner waits for the rest of this time and leaves with others.
"""
DELETE_SECONDS = 0.4
"""How long the rows of what was handed over and confirmed stay, so that many are deleted at once."""
BATCH_SECONDS = 10.0
MEASURE_SECONDS = 5.0
PARK_AFTER = 5
PARK_SECONDS = 60.0
"""A row is parked after so many refusals if it is this old: a broker also refuses while a queue has no leader."""

PUBLISHED = Counter("haoma_outbox_published_total", "Messages confirmed by the broker")
PARKED = Counter("haoma_outbox_parked_total", "Messages parked after repeated refusals")
WAITING = Gauge("haoma_outbox_backlog", "Rows of the outbox that are not deleted yet, counted up to 10,000")
LAG = Gauge("haoma_outbox_lag_seconds", "Age of the oldest of these rows; 0 if there is none")
PARKED_ROWS = Gauge("haoma_outbox_parked_rows", "Rows that are parked, counted up to 10,000")

log = structlog.get_logger()


class BrokerUnavailableError(Exception):
    """The broker did not confirm a batch: its outcome is unknown, so every row stays."""


class Relay:
    """Publishes committed messages in batches and deletes them when the broker has confirmed.

    ``joins`` maps a routing key to the function that joins its messages when several are published at once. Messages
    with ``handed_keys`` are handed over (``hand_over``) by the process that writes them.
    """

    def __init__(
        self,
        pool: Pool,
        publisher: Publisher,
        joins: Mapping[str, Join] = NO_JOINS,
        *,
        handed_keys: Sequence[str] = (),
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._joins = joins
        self._handed_keys = handed_keys
        self._gather_seconds = gather_seconds
        self._woken = asyncio.Event()
        self._is_unread = False  # whether the outbox may have rows that were not handed over
        self._handed: list[OutboxMessage] = []
        self._is_handed = asyncio.Event()
        self._has_published = asyncio.Event()
        self._own: dict[UUID, bool] = {}  # what was handed over: whether the broker has confirmed it
        self._deleting = asyncio.Lock()

    def wake(self) -> None:
        """Publish soon: something was committed. Without a call the next poll finds it."""
        self._is_unread = True
        self._woken.set()

    def hand_over(self, messages: Iterable[OutboxMessage]) -> None:
        """Publish committed messages without reading them: at once, or with others soon after the last ones.

        Their rows are deleted a little later. A message whose key is not handed over is read from its row, soon.
        """
        for message in messages:
            if message.routing_key in self._handed_keys:
                self._handed.append(message)
                self._is_handed.set()
            else:
                self.wake()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Relay in the background until the block ends, and measure what waits."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(repeating("measure outbox", MEASURE_SECONDS, self.measure))
            if self._handed_keys:
                stack.push_async_callback(self._finish_handed)
                await stack.enter_async_context(running(self._run_handed(), name="outbox-handed"))
                await stack.enter_async_context(running(self._run_deletes(), name="outbox-deletes"))
            await stack.enter_async_context(running(self._run(), name="outbox-relay"))
            yield

    async def measure(self) -> None:
        """Set the gauges of the rows that wait, as another session sees them. Raises ``UNAVAILABLE``."""
        ((waiting, parked, lag),) = await self._pool.fetch(MEASURE)
        WAITING.set(waiting)
        PARKED_ROWS.set(parked)
        LAG.set(lag)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        poll_at = next_tick(POLL_SECONDS)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(poll_at):
                    await self._woken.wait()
                    await asyncio.sleep(COLLECT_SECONDS)
            self._woken.clear()
            try:
                if loop.time() >= poll_at:
                    poll_at = next_tick(POLL_SECONDS)
                    self._is_unread |= await self._pool.fetchval(HAS_ROWS, self._handed_keys)
                if self._is_unread:
                    self._is_unread = False
                    while await raise_on_broker_loss(self.relay_batch()) == BATCH:
                        pass
            except Exception as error:  # noqa: BLE001  the rows are still there
                log.warning("outbox.delayed", error=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)
                # By now every relay takes what was not confirmed. Remembered, it would grow for as long as an outage.
                self._own = {message_id: True for message_id, is_confirmed in self._own.items() if is_confirmed}

    async def _run_handed(self) -> None:
        loop, left_at = asyncio.get_running_loop(), -math.inf
        while True:
            await self._is_handed.wait()
            await asyncio.sleep(left_at + self._gather_seconds - loop.time())
            self._is_handed.clear()
            left_at = loop.time()
            await self.publish_handed()

    async def _run_deletes(self) -> None:
        while True:
            await self._has_published.wait()
            await asyncio.sleep(DELETE_SECONDS)
            self._has_published.clear()
            await self._try_to_delete()

    async def _try_to_delete(self) -> None:
        """Delete what was published. What stays is taken by the next batch, which publishes none of it again."""
        try:
            await self.delete_published()
        except Exception as error:  # noqa: BLE001  the rows are still there
            log.warning("outbox.delayed", error=type(error).__name__)

    async def _finish_handed(self) -> None:
        """Publish and delete what is left at the end: other relays would wait two seconds, and publish again."""
        if self._handed:
            await self.publish_handed()
        await self._try_to_delete()

    async def publish_handed(self) -> None:
        """Publish what was handed over. What the broker does not confirm, the next batch reads and publishes."""
        messages, self._handed = self._handed, []
        parcels = list(parcels_of([row_of(message) for message in messages], self._joins))
        try:
            refused = await raise_on_broker_loss(self._publisher.publish_all([message for message, _ in parcels]))
        except asyncio.CancelledError:
            self._handed[:0] = messages
            raise
        except Exception as error:  # noqa: BLE001  the rows are still there
            log.warning("outbox.delayed", error=type(error).__name__)
            refused = [True] * len(parcels)
        for (_, rows), is_refused in zip(parcels, refused, strict=True):
            self._own.update((row["id"], not is_refused) for row in rows)
            if is_refused:
                self.wake()
        self._has_published.set()

    async def delete_published(self) -> None:
        """Delete the rows of what was handed over and confirmed."""
        async with self._deleting:
            published = [message_id for message_id, is_confirmed in self._own.items() if is_confirmed]
            if published:
                await self._pool.execute(DELETE_PUBLISHED, published)
                PUBLISHED.inc(len(published))
                for message_id in published:
                    del self._own[message_id]

    async def relay_batch(self) -> int:
        """Publish one batch and delete what the broker confirmed. Returns the number of rows that it confirmed."""
        async with self._deleting, transaction(self._pool, BATCH_SECONDS) as connection:
            own = list(self._own)
            rows = await connection.fetch(TAKE, BATCH, self._handed_keys, own)
            refused = await self._publish_all([row for row in rows if not self._own.get(row["id"])])
            for row in refused:
                await self._put_back(connection, row)
            PUBLISHED.inc(len(rows) - len(refused))
        for message_id in own if len(rows) < BATCH else (row["id"] for row in rows):  # the others have no row any more
            self._own.pop(message_id, None)
        return len(rows) - len(refused)

    async def _publish_all(self, rows: Sequence[Row]) -> list[Row]:
        """Publish the rows; returns those that the broker refused. Raises ``BrokerUnavailableError``."""
        parcels = list(parcels_of(rows, self._joins))
        if not parcels:
            return []
        try:
            refused = await self._publisher.publish_all([message for message, _ in parcels])
        except ConnectionError as error:
            raise BrokerUnavailableError from error
        return [row for _, carried in itertools.compress(parcels, refused) for row in carried]

    async def _put_back(self, connection: Connection, row: Row) -> None:
        """Keep a refused row, and park it after too many refusals."""
        attempts = row["attempts"] + 1
        kept = (row["id"], row["exchange"], row["routing_key"], row["body"], row["created_at"])
        if await connection.fetchval(PUT_BACK, *kept, attempts, PARK_AFTER, PARK_SECONDS):
            PARKED.inc()
            log.error("outbox.parked", message_id=str(row["id"]), routing_key=row["routing_key"])
