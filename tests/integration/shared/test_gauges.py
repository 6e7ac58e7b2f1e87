"""Gauges of queues, outboxes and pools: they show what waits, and return to 0 when nothing does."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from support import queues

from shared import amqp, redis
from shared.amqp import Consumer, PoisonError, Publisher, Queue, queue_monitor
from shared.events.envelope import OutboxMessage, entry_of, new_id
from shared.migrations.upgrade import ensure_database
from shared.outbox import Relay, put
from shared.postgres import Pool, pool, transaction, url_of

CREATE_OUTBOX = """
    create table outbox (
        id uuid primary key, exchange text not null, routing_key text not null, body bytea not null,
        created_at timestamptz not null default now(), attempts int not null default 0, parked_at timestamptz
    )
"""


@pytest.fixture
async def bus(amqp_url: str) -> AsyncIterator[amqp.Connection]:
    async with amqp.connect(amqp_url, "tests") as opened:
        yield opened


@pytest.fixture
async def queue(bus: amqp.Connection) -> AsyncIterator[Queue]:
    """A consumer's queue with a unique name, deleted afterwards with its retry queues."""
    queue = Queue(f"test.{secrets.token_hex(4)}", keys=["test.#"])
    yield queue
    await queues.delete(bus, queue)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Pool]:
    """A database with only an outbox."""
    name = f"outbox_{secrets.token_hex(4)}"
    await ensure_database(postgres_url, name)
    async with pool(postgres_url, name) as opened:
        await opened.execute(CREATE_OUTBOX)
        yield opened
    session = await asyncpg.connect(url_of(postgres_url, "postgres"))
    await session.execute(f'drop database "{name}"')
    await session.close()


def event(body: str = "test") -> OutboxMessage:
    return OutboxMessage(new_id(), entry_of("test"), "test.event.v1", body.encode())


def outbox() -> tuple[float | None, ...]:
    return tuple(
        REGISTRY.get_sample_value(f"haoma_outbox_{name}") for name in ("backlog", "parked_rows", "lag_seconds")
    )


async def test_the_outbox_shows_what_waits_and_returns_to_zero(bus: amqp.Connection, database: Pool) -> None:
    relay = Relay(database, await Publisher.open(bus, "test"))
    async with transaction(database) as session:
        await put(session, [event(), event(), event()])
    await database.execute("update outbox set created_at = now() - interval '1 minute'")
    await database.execute("update outbox set parked_at = now() where id = (select min(id::text)::uuid from outbox)")

    await relay.measure()
    backlog, parked, lag = outbox()
    assert (backlog, parked) == (2, 1)
    assert lag is not None
    assert lag >= 60

    await relay.relay_batch()
    await relay.measure()
    assert outbox() == (0, 1, 0)


async def test_messages_that_a_relay_holds_while_the_broker_is_silent_still_count_as_waiting(
    bus: amqp.Connection, database: Pool
) -> None:
    relay = Relay(database, await Publisher.open(bus, "test"))
    async with transaction(database) as session:
        await put(session, [event()])
    async with transaction(database) as other_relay:
        await other_relay.execute("delete from outbox")
        await relay.measure()
    assert outbox()[0] == 1


def messages(name: str) -> float | None:
    return REGISTRY.get_sample_value("haoma_queue_messages_ready", {"queue": name})


async def test_a_queue_shows_its_consumer_and_what_waits_and_is_parked(
    bus: amqp.Connection, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_monitor, "INTERVAL_SECONDS", 0.02)
    queue = Queue(queue.name, queue.keys, prefetch=1)
    release = asyncio.Event()

    async def handle(body: bytes) -> None:
        await release.wait()
        if body == b"poison":
            raise PoisonError("a test")

    publisher = await Publisher.open(bus, "test")
    async with asyncio.timeout(60), Consumer(queue, handle, publisher).running(bus):
        for body in ("first", "poison", "third"):
            await publisher.publish(event(body))
        while messages(queue.name) != 2:
            await asyncio.sleep(0.02)
        assert REGISTRY.get_sample_value("haoma_consuming", {"queue": queue.name}) == 1
        release.set()
        while (messages(queue.name), messages(queue.parked)) != (0, 1):
            await asyncio.sleep(0.02)


async def test_the_pool_of_redis_shows_the_connections_in_use_and_the_callers_that_wait(redis_url: str) -> None:
    def shown(name: str) -> float | None:
        return REGISTRY.get_sample_value(f"haoma_pool_{name}", {"pool": "redis"})

    opened: Redis
    async with redis.client(redis_url, connections=1) as opened:
        connection = await opened.connection_pool.get_connection()
        waiting = asyncio.gather(opened.ping(), return_exceptions=True)
        while shown("waiting") != 1:
            await asyncio.sleep(0)
        assert (shown("size"), shown("in_use")) == (1, 1)
        await opened.connection_pool.release(connection)
        await waiting
        assert (shown("in_use"), shown("waiting")) == (0, 0)
