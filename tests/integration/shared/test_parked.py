"""Parked messages on a real broker and database: taken, listed, replayed and dropped, none lost and none twice.

A process is killed by closing its connections where it stands: what it did not commit or acknowledge is undone.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import pytest
from aio_pika.abc import AbstractChannel

from shared import amqp
from shared.amqp import Consumer, PoisonError, Publisher, Queue
from shared.amqp.consumer import FORGED
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import OutboxMessage, new_id
from shared.internal_api.operators.parked import MAX_IDS, DropParked, ListParked, ReplayParked, ShowParked
from shared.internal_api.operators.requests import ServiceName
from shared.migrations.upgrade import ensure_database
from shared.outbox import Relay, put
from shared.parked import schema
from shared.parked.intake import ParkedIntake
from shared.parked.items import ParkedDesk
from shared.parked.message_store import ParkedMessage, ParkedMessageStore
from shared.parked.outbox_store import ParkedOutboxStore
from shared.postgres import Pool, connection, pool, transaction, url_of

CREATE_OUTBOX = """
    create table outbox (
        id uuid primary key, exchange text not null, routing_key text not null, body bytea not null,
        created_at timestamptz not null default now(), attempts int not null default 0, parked_at timestamptz
    )
"""
SERVICE = {"service": ServiceName.SMS, "operator": "ada"}
ACT = SERVICE | {"reason": "mended"}
THOUSAND = 1_000


class Killed(Exception):  # noqa: N818  no error: what a test does to a process
    """The process ends here."""


class KilledStore(ParkedMessageStore):
    """A store whose process is killed once: after it has committed the batch of that number."""

    def __init__(self, database: Pool, batch: int) -> None:
        super().__init__(database)
        self._left = batch

    async def add(self, messages: Sequence[ParkedMessage]) -> None:
        await super().add(messages)
        self._left -= 1
        if self._left == 0:
            raise Killed


@dataclass
class World:
    """A queue with its consumer, and the database of its service."""

    amqp_url: str
    queue: Queue
    database: Pool
    failing: bool = True
    handled: Counter[str] = field(default_factory=Counter)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: int = 0

    async def handle(self, body: bytes) -> None:
        if self.failing:
            raise PoisonError("not a message of ours")
        self.handled[body.decode()] += 1
        if len(self.handled) >= self.wanted:
            self.enough.set()

    @property
    def desk(self) -> ParkedDesk:
        return ParkedDesk([ParkedMessageStore(self.database), ParkedOutboxStore(self.database)], lambda: None)

    @asynccontextmanager
    async def consuming(self) -> AsyncIterator[Publisher]:
        async with AsyncExitStack() as stack:
            bus = await stack.enter_async_context(amqp.connect(self.amqp_url, "parked consumer"))
            publisher = await Publisher.open(
                await stack.enter_async_context(amqp.connect(self.amqp_url, "parked")), "test"
            )
            await stack.enter_async_context(Consumer(self.queue, self.handle, publisher).running(bus))
            yield publisher

    async def take(self, store: ParkedMessageStore | None = None) -> None:
        """Take everything that is parked, as one process with a connection of its own."""
        async with amqp.connect(self.amqp_url, "intake") as bus:
            intake = ParkedIntake([self.queue], bus, store or ParkedMessageStore(self.database))
            await bus.on_connect(intake._open)
            await intake.take()

    async def park(self, bodies: Sequence[str]) -> None:
        """Let the consumer give up messages, until the parking queue has them."""
        async with self.consuming() as publisher, amqp.connect(self.amqp_url, "depth") as bus:
            messages = [OutboxMessage(new_id(), self.queue.name, self.queue.name, body.encode()) for body in bodies]
            for start in range(0, len(messages), 200):
                assert not any(await publisher.publish_all(messages[start : start + 200]))
            channel = await bus.channel()
            async with asyncio.timeout(120):
                while await self.depth(channel) < len(bodies):
                    await asyncio.sleep(0.05)

    async def depth(self, channel: AbstractChannel) -> int:
        declared = await channel.declare_queue(self.queue.parked, passive=True)
        return declared.declaration_result.message_count or 0

    async def relay(self, publisher: Publisher) -> None:
        while await Relay(self.database, publisher).relay_batch():
            pass

    async def handle_all(self, count: int) -> None:
        """Publish what was replayed, and wait until that many different messages are handled."""
        self.failing, self.wanted = False, count
        async with self.consuming() as publisher:
            await self.relay(publisher)
            async with asyncio.timeout(120):
                await self.enough.wait()

    async def listed(self) -> list[UUID]:
        return [item.id for item in (await self.desk.list(ListParked(**SERVICE))).items]

    async def replay(self, **which: object) -> tuple[int, int]:
        settled = await self.desk.replay(ReplayParked(**ACT, **which))
        return settled.settled, settled.left


@pytest.fixture
async def world(amqp_url: str, postgres_url: str) -> AsyncIterator[World]:
    name, queue = f"parked_{secrets.token_hex(4)}", Queue(f"test.{secrets.token_hex(4)}")
    await ensure_database(postgres_url, name)
    async with pool(postgres_url, name) as database:
        async with connection(database) as conn:
            for statement in (CREATE_OUTBOX, *schema.STATEMENTS):
                await conn.execute(statement)
        yield World(amqp_url, queue, database)
    admin = await asyncpg.connect(url_of(postgres_url, "postgres"))
    await admin.execute(f'drop database "{name}" with (force)')
    await admin.close()
    async with amqp.connect(amqp_url, "cleanup") as bus:
        channel = await bus.channel()
        for part in (queue.name, queue.parked, *map(queue.retry_queue, amqp.RETRY_DELAYS)):
            await channel.queue_delete(part)
        await channel.exchange_delete(queue.name)


async def test_a_parked_message_is_listed_with_its_reason_shown_and_replayed(world: World) -> None:
    await world.park(["one"])
    await world.take()

    (item,) = (await world.desk.list(ListParked(**SERVICE))).items
    assert (item.destination, item.reason, item.size) == (world.queue.name, "not a message of ours", 3)
    shown = await world.desk.show(ShowParked(**SERVICE, id=item.id, sees_numbers=True))
    masked = await world.desk.show(ShowParked(**SERVICE, id=item.id))
    assert (shown.content, masked.content) == ("one", None)

    assert await world.replay(ids=[item.id]) == (1, 0)
    assert await world.replay(ids=[item.id]) == (0, 0)
    await world.handle_all(1)
    assert world.handled == {"one": 1}
    with pytest.raises(ServiceError) as unknown:
        await world.desk.show(ShowParked(**SERVICE, id=item.id))
    assert unknown.value.code is ErrorCode.NOT_FOUND


async def test_what_another_service_forged_is_dropped_and_never_replayed(world: World) -> None:
    forged = ParkedMessage(new_id(), world.queue.name, b"forged", f"{FORGED} it came by events.other", 0)
    await ParkedMessageStore(world.database).add([forged])

    assert await world.replay(everything=True) == (0, 1)
    assert await world.replay(ids=[forged.id]) == (0, 1)
    assert await world.listed() == [forged.id]
    await world.desk.drop(DropParked(**ACT, ids=[forged.id]))
    assert await world.listed() == []


async def test_a_thousand_parked_messages_are_replayed_though_processes_are_killed_none_lost_none_twice(
    world: World,
) -> None:
    bodies = [f"message {number}" for number in range(THOUSAND)]
    await world.park(bodies)
    for batch in (1, 2):  # killed between the commit and the acknowledgement of a batch
        with pytest.raises(Killed):
            await world.take(KilledStore(world.database, batch))
    await world.take()
    ids = await world.listed()
    assert len(set(ids)) == THOUSAND

    some = ids[:MAX_IDS]
    rivals = await asyncio.gather(world.replay(ids=some), world.replay(ids=some), world.replay(everything=True))
    settled = sum(count for count, _ in rivals) + (await world.replay(everything=True))[0]
    await world.handle_all(THOUSAND)

    assert settled == THOUSAND
    assert world.handled == Counter(bodies)
    assert await world.listed() == []


async def test_a_message_that_fails_again_is_parked_again(world: World) -> None:
    await world.park(["stubborn"])
    await world.take()
    (first,) = await world.listed()
    await world.replay(ids=[first])
    async with world.consuming() as publisher, amqp.connect(world.amqp_url, "depth") as bus:
        await world.relay(publisher)
        channel = await bus.channel()
        async with asyncio.timeout(60):
            while not await world.depth(channel):
                await asyncio.sleep(0.05)
    await world.take()

    (second,) = await world.listed()
    assert second != first


async def test_different_messages_with_one_id_are_all_kept(world: World) -> None:
    await world.park([])
    async with world.consuming() as publisher:
        same = new_id()
        for body in (b"a", b"b"):
            await publisher.publish(OutboxMessage(same, world.queue.name, world.queue.parked, body))
    await world.take()
    assert len(await world.listed()) == 2


async def test_a_dropped_message_keeps_no_body_and_never_comes_back(world: World) -> None:
    await world.park(["away", "stays"])
    await world.take()
    items = (await world.desk.list(ListParked(**SERVICE))).items
    away = next(item for item in items if item.size == 4)

    settled = await world.desk.drop(DropParked(**ACT, ids=[away.id]))

    assert (settled.settled, settled.left) == (1, 1)
    kept = await world.database.fetchrow("select body, outcome from parked_messages where id = $1", away.id)
    assert kept is not None
    assert tuple(kept) == (b"", "dropped")
    assert await world.replay(ids=[away.id]) == (0, 1)


async def test_a_batch_that_cannot_be_committed_waits_and_is_lost_by_no_later_acknowledgement(world: World) -> None:
    await world.park(["early"])
    store = ParkedMessageStore(world.database)
    async with amqp.connect(world.amqp_url, "intake") as bus:
        intake = ParkedIntake([world.queue], bus, store)
        await bus.on_connect(intake._open)
        await world.database.execute("alter table parked_messages rename to elsewhere")
        with pytest.raises(asyncpg.UndefinedTableError):
            await intake.take()
        await world.database.execute("alter table elsewhere rename to parked_messages")
        await world.park(["late"])
        await intake.take()
    assert len(await world.listed()) == 2


async def test_parked_rows_of_the_outbox_are_replayed_or_dropped(world: World) -> None:
    async with transaction(world.database) as conn:
        await put(conn, [OutboxMessage(new_id(), world.queue.name, world.queue.name, each) for each in (b"x", b"y")])
    await world.database.execute("update outbox set parked_at = now(), attempts = 5")
    first, second = await world.listed()

    assert await world.replay(ids=[first]) == (1, 1)
    assert (await world.desk.drop(DropParked(**ACT, ids=[second]))).left == 0
    await world.handle_all(1)
    assert len(world.handled) == 1
    assert await world.database.fetchval("select count(*) from outbox") == 0
