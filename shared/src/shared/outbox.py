"""The transactional outbox: messages are committed with the state they tell of, then relayed at least once."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import asyncpg
import structlog
from prometheus_client import Counter, Gauge

from shared.amqp import Publisher, raise_on_broker_loss
from shared.events import OutboxMessage
from shared.postgres import Connection, Pool, transaction

BATCH = 200
POLL_SECONDS = 1.0
GATHER_SECONDS = 0.01
"""After the first news, so that commits close together leave in one batch."""
BATCH_SECONDS = 10.0
PARK_AFTER = 5
MAX_JOINED = 8
"""So many messages may travel as one: few enough that several consumers share what comes at once."""

Join = Callable[[Sequence[bytes]], bytes]
"""The bodies of several messages as the body of one. Raises ``ValueError`` for those that cannot be."""

Parcel = tuple[OutboxMessage, Sequence[asyncpg.Record]]
"""A message that is to be published, and the rows that travel in it."""

ALL_ALONE: Mapping[str, Join] = MappingProxyType({})

PUBLISHED = Counter("haoma_outbox_published_total", "Messages confirmed by the broker")
PARKED = Counter("haoma_outbox_parked_total", "Messages set aside after repeated refusals")
LAG = Gauge("haoma_outbox_lag_seconds", "Age of the oldest message when it was relayed")

log = structlog.get_logger()

INSERT = """
    insert into outbox (id, exchange, routing_key, body)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])
"""

# The deletion becomes true only when the broker has confirmed: until then the rows are locked, not gone,
# and another relay passes over them.
TAKE = """
    delete from outbox where id in (
        select id from outbox where parked_at is null order by id limit $1 for update skip locked
    )
    returning id, exchange, routing_key, body, created_at, attempts
"""

PUT_BACK = """
    insert into outbox (id, exchange, routing_key, body, created_at, attempts, parked_at)
    values ($1, $2, $3, $4, $5, $6, case when $6::int >= $7::int then now() end)
"""


async def put(connection: Connection, messages: Sequence[OutboxMessage]) -> None:
    """Add messages to the outbox inside the caller's transaction."""
    await connection.execute(INSERT, *columns(messages))


def columns(messages: Sequence[OutboxMessage]) -> tuple[list[object], list[str], list[str], list[bytes]]:
    """The messages as the four arrays that ``INSERT`` takes, for statements that embed it."""
    return (
        [message.id for message in messages],
        [message.exchange for message in messages],
        [message.routing_key for message in messages],
        [message.body for message in messages],
    )


class BrokerAwayError(Exception):
    """The broker did not answer for a batch: nothing is known of it, and all of it stays."""


class Relay:
    """Moves committed messages to the broker: in batches, confirms in flight together, woken after a commit.

    ``joins`` names the routing keys whose messages leave as one when they leave together.
    """

    def __init__(self, pool: Pool, publisher: Publisher, joins: Mapping[str, Join] = ALL_ALONE) -> None:
        self._pool = pool
        self._publisher = publisher
        self._joins = joins
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Say that something was committed. The poll is the guarantee; this only makes it quick."""
        self._news.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Relay in the background for as long as the block lasts."""
        task = asyncio.create_task(self._run(), name="outbox-relay")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            try:
                while await raise_on_broker_loss(self.relay_batch()) == BATCH:
                    pass
            except Exception as error:  # noqa: BLE001  whatever failed, the rows are still there
                log.warning("outbox.waiting", error=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)

    async def relay_batch(self) -> int:
        """Publish one batch and delete what was confirmed. Returns how many rows it took."""
        async with transaction(self._pool, BATCH_SECONDS) as connection:
            rows = await connection.fetch(TAKE, BATCH)
            if not rows:
                return 0
            LAG.set((datetime.now(UTC) - min(row["created_at"] for row in rows)).total_seconds())
            refused = await self._publish_all(rows)
            for row in refused:
                await self._put_back(connection, row)
            PUBLISHED.inc(len(rows) - len(refused))
        return len(rows)

    async def _publish_all(self, rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
        """The rows that the broker refused. Raises ``BrokerAwayError``: undo the whole batch and try again."""
        parcels = list(self._parcels(rows))
        try:
            refused = await self._publisher.publish_all([message for message, _ in parcels])
        except ConnectionError as error:
            raise BrokerAwayError from error
        return [row for _, packed in itertools.compress(parcels, refused) for row in packed]

    def _parcels(self, rows: Sequence[asyncpg.Record]) -> Iterator[Parcel]:
        """What is to be published for these rows."""
        together: dict[str, list[asyncpg.Record]] = {}
        for row in rows:
            if row["routing_key"] in self._joins:
                together.setdefault(row["routing_key"], []).append(row)
            else:
                yield _message(row), [row]
        for key, alike in together.items():
            for start in range(0, len(alike), MAX_JOINED):
                yield from self._joined(key, alike[start : start + MAX_JOINED])

    def _joined(self, key: str, rows: Sequence[asyncpg.Record]) -> Iterator[Parcel]:
        try:
            body = self._joins[key]([row["body"] for row in rows])
        except ValueError:  # one that nobody understands holds up no other
            log.warning("outbox.not_joined", routing_key=key)
            yield from ((_message(row), [row]) for row in rows)
        else:
            yield replace(_message(rows[0]), body=body), rows

    async def _put_back(self, connection: Connection, row: asyncpg.Record) -> None:
        """Keep a refused row, parked when it was refused too often; a confirmed one is gone."""
        attempts = row["attempts"] + 1
        if attempts >= PARK_AFTER:
            PARKED.inc()
            log.error("outbox.parked", message_id=str(row["id"]), routing_key=row["routing_key"])
        await connection.execute(PUT_BACK, *tuple(row)[:5], attempts, PARK_AFTER)


def _message(row: asyncpg.Record) -> OutboxMessage:
    return OutboxMessage(row["id"], row["exchange"], row["routing_key"], row["body"])
