"""Messages on a real broker: failures are retried and parked, publishes are confirmed, and no message blocks others."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import aio_pika
import pytest
from support import queues

from shared import amqp
from shared.amqp import Consumer, PoisonError, Publisher, Queue, RefusedError, consumer, declare
from shared.amqp import publisher as publisher_module
from shared.errors import unavailable
from shared.events.envelope import OutboxMessage, new_id
from shared.migrations.upgrade import ensure_database
from shared.outbox import BATCH, MAX_JOINED, Relay, put
from shared.postgres import Pool, connection, pool, transaction, url_of

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
async def publisher(bus: amqp.Connection) -> Publisher:
    return await Publisher.open(bus, "test")


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Pool]:
    """A database with only an outbox."""
    import asyncpg

    name = f"outbox_{secrets.token_hex(4)}"
    await ensure_database(postgres_url, name)
    async with pool(postgres_url, name) as opened:
        async with connection(opened) as session:
            await session.execute(CREATE_OUTBOX)
        yield opened
    session = await asyncpg.connect(url_of(postgres_url, "postgres"))
    await session.execute(f'drop database "{name}"')
    await session.close()


def message(body: str, *, exchange: str = "events.test", key: str = "test.event.v1") -> OutboxMessage:
    return OutboxMessage(new_id(), exchange, key, body.encode())


class Handler:
    """Records the messages it handled, and fails on those that the test names."""

    def __init__(self) -> None:
        self.handled: asyncio.Queue[str] = asyncio.Queue()
        self.attempts: list[str] = []
        self.poison: set[str] = set()
        self.failing: dict[str, int] = {}

    async def __call__(self, body: bytes) -> None:
        text = body.decode()
        self.attempts.append(text)
        if text in self.poison:
            raise PoisonError("cannot be read")
        if self.failing.get(text, 0) > 0:
            self.failing[text] -= 1
            raise ConnectionError("not now")
        self.handled.put_nowait(text)

    async def next(self) -> str:
        async with asyncio.timeout(30):
            return await self.handled.get()


async def parked(bus: amqp.Connection, queue: Queue) -> aio_pika.abc.AbstractIncomingMessage:
    """Wait for the parked message."""
    channel = await bus.channel()
    parking_queue = await channel.get_queue(queue.parked)
    async with asyncio.timeout(30):
        while (received := await parking_queue.get(fail=False)) is None:
            await asyncio.sleep(0.02)
    await received.ack()
    return received


async def put_and_fail(database: Pool) -> None:
    async with transaction(database) as session:
        await put(session, [message("never")])
        raise ZeroDivisionError


async def drain(queue: aio_pika.abc.AbstractQueue, expected: int) -> list[bytes]:
    """The bodies in a queue: as many as expected, and any that should not be there."""
    seen: list[bytes] = []
    async with asyncio.timeout(30):
        while len(seen) < expected:
            if (received := await queue.get(fail=False, no_ack=True)) is not None:
                seen.append(received.body)
    while (received := await queue.get(fail=False, no_ack=True)) is not None:
        seen.append(received.body)
    return seen


async def next_message(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    """Wait for the next message of a queue."""
    async with asyncio.timeout(30):
        while (received := await queue.get(fail=False, no_ack=True)) is None:
            pass
    return received


async def test_a_poison_message_is_parked_at_once_and_does_not_delay_others(
    bus: amqp.Connection, queue: Queue, publisher: Publisher
) -> None:
    handler = Handler()
    handler.poison.add("bad")
    async with Consumer(queue, handler, publisher).running(bus):
        for text in ("bad", "good"):
            await publisher.publish(message(text))
        assert await handler.next() == "good"
        assert (await parked(bus, queue)).body == b"bad"
    assert handler.attempts.count("bad") == 1


async def test_a_failed_message_returns_after_a_delay_while_others_pass(
    bus: amqp.Connection, queue: Queue, publisher: Publisher
) -> None:
    handler = Handler()
    handler.failing["late"] = 1
    async with Consumer(queue, handler, publisher).running(bus):
        for text in ("late", "quick"):
            await publisher.publish(message(text))
        assert [await handler.next(), await handler.next()] == ["quick", "late"]


async def test_a_message_that_fails_every_retry_is_parked_unchanged(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "RETRY_DELAYS", (1,))
    handler = Handler()
    handler.failing["hopeless"] = 99
    sent = message("hopeless")
    async with Consumer(queue, handler, publisher).running(bus):
        await publisher.publish(sent)
        parked_message = await parked(bus, queue)
    assert (parked_message.body, parked_message.message_id) == (b"hopeless", str(sent.id))
    assert handler.attempts == ["hopeless", "hopeless"]


async def test_an_outage_longer_than_all_retries_loses_and_parks_no_message(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "RETRY_DELAYS", (1,))  # a second failure would park
    monkeypatch.setattr(consumer, "OUTAGE_SECONDS", 0.0)
    texts = {f"event {number}" for number in range(60)}
    attempts: Counter[str] = Counter()
    handled: set[str] = set()

    async def apply(body: bytes) -> None:
        attempts[body.decode()] += 1
        if len(attempts) < len(texts) or min(attempts.values()) < 4:
            raise unavailable()
        handled.add(body.decode())

    async with Consumer(queue, apply, publisher).running(bus):
        for text in texts:
            await publisher.publish(message(text))
        async with asyncio.timeout(30):
            while handled != texts:
                await asyncio.sleep(0.02)
    parking_queue = await (await bus.channel()).get_queue(queue.parked)
    assert await parking_queue.get(fail=False) is None


async def test_an_outage_between_two_failures_counts_as_no_attempt(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "RETRY_DELAYS", (1,))
    monkeypatch.setattr(consumer, "OUTAGE_SECONDS", 0.0)
    away = unavailable()
    group = ExceptionGroup("several messages", [away, unavailable()])
    mixed = ExceptionGroup("a failure among outages", [away, ConnectionError()])
    errors = [away, group, ConnectionError(), away, mixed]
    waiting = iter(errors)
    raised = []

    async def fail(_: bytes) -> None:
        raised.append(error := next(waiting))
        raise error

    async with Consumer(queue, fail, publisher).running(bus):
        await publisher.publish(message("unlucky"))
        assert (await parked(bus, queue)).body == b"unlucky"
    assert raised == errors


async def test_what_is_not_to_be_kept_leaves_a_message_before_it_rests(
    bus: amqp.Connection, queue: Queue, publisher: Publisher
) -> None:
    handler = Handler()
    handler.failing["kept secret"] = 1
    without_secret = Consumer(queue, handler, publisher, at_rest=lambda body: body.replace(b" secret", b""))
    async with without_secret.running(bus):
        await publisher.publish(message("kept secret"))
        assert await handler.next() == "kept"
    assert handler.attempts == ["kept secret", "kept"]


async def test_a_stopping_consumer_finishes_its_messages(
    bus: amqp.Connection, queue: Queue, publisher: Publisher
) -> None:
    started, finish, finished = asyncio.Event(), asyncio.Event(), []

    async def slow(_: bytes) -> None:
        started.set()
        await finish.wait()
        finished.append(True)

    async with Consumer(queue, slow, publisher).running(bus):
        await publisher.publish(message("slow"))
        await started.wait()
        asyncio.get_running_loop().call_later(0.05, finish.set)
    assert finished == [True]


@pytest.mark.parametrize("turns", [1, 3, 5, 7])
async def test_messages_that_were_neither_handled_nor_moved_come_again_while_a_younger_one_is_handled(
    amqp_url: str,
    bus: amqp.Connection,
    queue: Queue,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    turns: int,
) -> None:
    monkeypatch.setattr(consumer, "MOVE_RETRY_SECONDS", 0.0)
    texts = [str(number) for number in range(queue.prefetch)]
    failing, handling, handled = asyncio.Event(), asyncio.Event(), asyncio.Queue[str]()
    attempts = Counter[str]()

    async def handle(body: bytes) -> None:
        text = body.decode()
        attempts[text] += 1
        if attempts[text] == 1:
            await (handling if text == texts[-1] else failing).wait()
            if text != texts[-1]:
                raise ValueError
        handled.put_nowait(text)

    async with amqp.connect(amqp_url, "soon closed") as lost:
        cut_off = await Publisher.open(lost, "test")
    async with Consumer(queue, handle, cut_off).running(bus):
        for text in texts:
            await publisher.publish(message(text, exchange="", key=queue.name))
        async with asyncio.timeout(30):
            while len(attempts) < len(texts):
                await asyncio.sleep(0.01)
        failing.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        handling.set()
        async with asyncio.timeout(30):
            assert {await handled.get() for _ in texts} == set(texts)


async def test_a_command_without_a_queue_is_refused_and_an_event_without_a_listener_is_not(
    publisher: Publisher,
) -> None:
    with pytest.raises(RefusedError):
        await publisher.publish(message("x", exchange="", key=f"nowhere.{secrets.token_hex(4)}"))
    await publisher.publish(message("x", key="without.listener.v1"))


async def test_a_refusal_by_a_queue_replaces_the_connection(bus: amqp.Connection, publisher: Publisher) -> None:
    connections: list[int] = []

    async def count() -> None:
        connections.append(1)

    await bus.on_connect(count)
    full = f"test.{secrets.token_hex(4)}"
    channel = await bus.channel()
    limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await channel.declare_queue(full, arguments=limits, durable=True)
    try:
        await publisher.publish(message("x", exchange="", key=full))
        with pytest.raises(RefusedError):
            await publisher.publish(message("y", exchange="", key=full))
        async with asyncio.timeout(60):
            while len(connections) < 2:
                await asyncio.sleep(0.05)
    finally:
        await (await bus.channel()).queue_delete(full)


async def test_committed_messages_are_published_once_and_rolled_back_ones_are_not(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    channel = await bus.channel()
    declared = await declare(channel, queue)
    relay = Relay(database, publisher)
    async with transaction(database) as session:
        await put(session, [message(f"{number:04d}") for number in range(450)])
    with pytest.raises(ZeroDivisionError):
        await put_and_fail(database)

    async with relay.running():
        relay.wake()
        seen = await drain(declared, 450)

    assert sorted(seen) == [f"{number:04d}".encode() for number in range(450)]
    async with connection(database) as session:
        assert await session.fetchval("select count(*) from outbox") == 0


async def test_two_relays_share_the_work_and_publish_nothing_twice(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    channel = await bus.channel()
    declared = await declare(channel, queue)
    async with transaction(database) as session:
        await put(session, [message(f"{number:04d}") for number in range(600)])
    relays = [Relay(database, publisher), Relay(database, publisher)]
    while sum(await asyncio.gather(*(relay.relay_batch() for relay in relays))):
        pass
    assert sorted(await drain(declared, 600)) == [f"{number:04d}".encode() for number in range(600)]


async def test_a_message_that_the_broker_keeps_refusing_for_a_minute_is_parked_and_the_others_are_published(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    channel = await bus.channel()
    declared = await declare(channel, queue)
    lost = message("lost", exchange="", key=f"nowhere.{secrets.token_hex(4)}")
    async with transaction(database) as session:
        await put(session, [lost, message("found")])
    relay = Relay(database, publisher)
    for _ in range(6):
        await relay.relay_batch()
    assert await refused_rows(database) == [(lost.id, 6, False)]

    await database.execute("update outbox set created_at = created_at - interval '1 minute'")
    for _ in range(2):
        await relay.relay_batch()
    assert await refused_rows(database) == [(lost.id, 7, True)]
    assert await drain(declared, 1) == [b"found"]


async def test_messages_that_the_broker_refuses_do_not_delay_those_behind_them(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    declared = await declare(await bus.channel(), queue)
    nowhere = f"nowhere.{secrets.token_hex(4)}"
    relay = Relay(database, publisher)
    async with transaction(database) as session:
        await put(session, [message("lost", exchange="", key=nowhere) for _ in range(BATCH + 50)])
    while await refused_rows(database, attempts=0):
        await relay.relay_batch()
    async with transaction(database) as session:
        await put(session, [message("found")])

    await relay.relay_batch()

    assert await drain(declared, 1) == [b"found"]
    assert len(await refused_rows(database)) == BATCH + 50
    await database.execute("delete from outbox")


async def refused_rows(database: Pool, *, attempts: int | None = None) -> list[tuple[object, ...]]:
    rows = await database.fetch("select id, attempts, parked_at is not null as parked from outbox")
    return [tuple(row) for row in rows if attempts in (None, row["attempts"])]


async def test_joinable_messages_are_published_together_a_few_at_a_time(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    declared = await declare(await bus.channel(), queue)
    async with transaction(database) as session:
        await put(session, [message(f"{number:04d}", exchange="", key=queue.name) for number in range(MAX_JOINED + 2)])
        await put(session, [message("alone")])

    assert await Relay(database, publisher, {queue.name: b" ".join}).relay_batch() == MAX_JOINED + 3

    bodies = await drain(declared, 3)
    assert sorted(len(body.split()) for body in bodies) == [1, 2, MAX_JOINED]
    words = {word for body in bodies for word in body.split()}
    assert words == {b"alone", *(f"{number:04d}".encode() for number in range(MAX_JOINED + 2))}


async def test_every_message_of_a_refused_join_is_kept(publisher: Publisher, database: Pool) -> None:
    key = f"nowhere.{secrets.token_hex(4)}"
    lost = [message(f"{number}", exchange="", key=key) for number in range(3)]
    async with transaction(database) as session:
        await put(session, lost)
    await Relay(database, publisher, {key: b" ".join}).relay_batch()
    async with connection(database) as session:
        rows = await session.fetch("select id, body, attempts from outbox order by id")
    assert [tuple(row) for row in rows] == [(each.id, each.body, 1) for each in sorted(lost, key=lambda m: m.id)]


async def test_a_body_that_cannot_be_joined_does_not_delay_others(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    def join(bodies: Sequence[bytes]) -> bytes:
        if b"strange" in bodies:
            raise ValueError("not joinable")
        return b" ".join(bodies)

    declared = await declare(await bus.channel(), queue)
    async with transaction(database) as session:
        await put(session, [message(text, exchange="", key=queue.name) for text in ("one", "strange", "two")])
        await put(session, [message("alone")])

    await Relay(database, publisher, {queue.name: join}).relay_batch()

    assert sorted(await drain(declared, 4)) == [b"alone", b"one", b"strange", b"two"]


async def test_a_publish_cancelled_before_it_was_written_uses_no_delivery_tag(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await publisher._channel.get_underlay_channel()
    full: asyncio.Queue[None] = asyncio.Queue(1)
    full.put_nowait(None)
    with monkeypatch.context() as patch:
        patch.setattr(channel, "write_queue", full)
        waiting = asyncio.create_task(publisher.publish_all([message("never written")]))
        while not channel.confirmations:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    assert (channel.confirmations, channel.message_id_delivery_tag) == ({}, {})
    assert await publisher.publish_all([message("the next")]) == [False]


async def test_cancelled_publishes_leave_nothing_behind(publisher: Publisher) -> None:
    cancelled = [asyncio.create_task(publisher.publish_all([message("cancelled")])) for _ in range(200)]
    for steps, each in enumerate(cancelled):
        for _ in range(steps % 4):
            await asyncio.sleep(0)
        each.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)

    assert await publisher.publish_all([message("one"), message("two")]) == [False, False]
    channel = await publisher._channel.get_underlay_channel()
    async with asyncio.timeout(30):
        while channel.confirmations:  # the broker still confirms some
            await asyncio.sleep(0.01)
    assert channel.message_id_delivery_tag == {}


async def test_a_message_larger_than_a_frame_arrives_whole_and_is_persistent(
    bus: amqp.Connection, queue: Queue, publisher: Publisher
) -> None:
    declared = await declare(await bus.channel(), queue)
    long = "0123456789" * 50_000
    await publisher.publish_all([message("short"), message(long), message("")])
    received = [await next_message(declared) for _ in range(3)]
    assert [message.body.decode() for message in received] == ["short", long, ""]
    assert {message.delivery_mode for message in received} == {aio_pika.DeliveryMode.PERSISTENT}


async def test_a_publish_fails_at_once_when_its_channel_ends(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await publisher._channel.get_underlay_channel()
    monkeypatch.setattr(publisher_module, "PUBLISH_SECONDS", 3600)
    monkeypatch.setattr(channel, "_confirm_delivery", lambda *_: None)  # as if the broker did not answer
    waiting = asyncio.create_task(publisher.publish_all([message("unheard")]))
    while not channel.confirmations:
        await asyncio.sleep(0)
    await channel.close()
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionError):
            await waiting


async def test_a_retry_queue_forgets_a_message_only_when_its_target_has_it(bus: amqp.Connection, queue: Queue) -> None:
    await declare(await bus.channel(), queue)
    channel = await bus.channel()
    arguments = {
        "x-queue-type": "quorum",
        "x-message-ttl": 10_000,
        "x-dead-letter-exchange": queue.name,
        "x-dead-letter-routing-key": queue.name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    # The broker refuses to declare a queue again with other arguments.
    await channel.declare_queue(queue.retry_queue(10), durable=True, arguments=arguments)


async def written(database: Pool, messages: Sequence[OutboxMessage]) -> None:
    async with transaction(database) as session:
        await put(session, messages)


async def test_a_message_that_is_handed_over_is_published_once_and_its_row_is_deleted(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    declared = await declare(await bus.channel(), queue)
    relay = Relay(database, publisher, {queue.name: b" ".join}, handed_keys=[queue.name])
    handed = [message(text, exchange="", key=queue.name) for text in ("one", "two")]
    await written(database, [*handed, message("event")])

    relay.hand_over(handed)
    await relay.publish_handed()
    assert await drain(declared, 1) == [b"one two"]
    assert await database.fetchval("select count(*) from outbox") == 3
    await relay.delete_published()
    assert await database.fetchval("select count(*) from outbox") == 1
    assert await relay.relay_batch() == 1
    assert await drain(declared, 1) == [b"event"]
    assert await database.fetchval("select count(*) from outbox") == 0
    assert await relay.relay_batch() == 0


async def test_a_batch_deletes_the_rows_of_what_was_published_before_it_and_publishes_none_again(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    declared = await declare(await bus.channel(), queue)
    relay = Relay(database, publisher, handed_keys=[queue.name])
    command = message("command", exchange="", key=queue.name)
    await written(database, [command])
    relay.hand_over([command])
    await relay.publish_handed()

    assert await relay.relay_batch() == 1
    assert await drain(declared, 1) == [b"command"]
    assert await database.fetchval("select count(*) from outbox") == 0


async def test_a_relay_to_which_much_is_handed_over_still_polls_for_the_rows_of_others(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    declared = await declare(await bus.channel(), queue)
    relay = Relay(database, publisher, handed_keys=[queue.name])
    await written(database, [message("left behind")])
    seen: list[bytes] = []
    async with relay.running(), asyncio.timeout(30):
        while b"left behind" not in seen:
            command = message("command", exchange="", key=queue.name)
            await written(database, [command])
            relay.hand_over([command])
            seen += await drain(declared, 1)


async def test_other_relays_leave_a_row_to_its_process_for_a_second_and_publish_it_if_that_died(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    declared = await declare(await bus.channel(), queue)
    other = Relay(database, publisher, handed_keys=[queue.name])
    await written(database, [message("command", exchange="", key=queue.name)])

    assert await other.relay_batch() == 0
    await database.execute("update outbox set created_at = now() - interval '2 seconds'")
    assert await other.relay_batch() == 1
    assert await drain(declared, 1) == [b"command"]


async def test_a_message_that_was_handed_over_and_not_confirmed_is_published_by_the_next_batch(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    silent = await Publisher.open(bus, "test")
    silent._channel = None
    relay = Relay(database, silent, handed_keys=[queue.name])
    command, lost = (
        message(text, exchange="", key=key) for text, key in (("command", queue.name), ("lost", "nowhere"))
    )
    await written(database, [command, lost])
    relay.hand_over([command, lost])
    await relay.publish_handed()

    declared = await declare(await bus.channel(), queue)
    silent._channel = publisher._channel
    assert await relay.relay_batch() == 1
    assert await drain(declared, 1) == [b"command"]
    assert await database.fetchval("select attempts from outbox") == 1


async def test_a_running_relay_publishes_what_is_handed_over_without_a_wake_up(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    declared = await declare(await bus.channel(), queue)
    relay = Relay(database, publisher, handed_keys=[queue.name])
    command = message("command", exchange="", key=queue.name)
    await written(database, [command])
    async with relay.running():
        relay.hand_over([command])
        assert await drain(declared, 1) == [b"command"]
        async with asyncio.timeout(30):
            while await database.fetchval("select count(*) from outbox"):
                await asyncio.sleep(0.01)


async def test_a_message_whose_key_is_not_handed_over_is_read_from_its_row(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    declared = await declare(await bus.channel(), queue)
    relay = Relay(database, publisher, handed_keys=["another"])
    event = message("event", exchange="", key=queue.name)
    await written(database, [event])
    relay.hand_over([event])
    assert await relay.relay_batch() == 1
    assert await drain(declared, 1) == [b"event"]


async def test_a_running_relay_finds_what_a_process_that_died_had_to_hand_over(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    declared = await declare(await bus.channel(), queue)
    other = Relay(database, publisher, handed_keys=[queue.name])
    await written(database, [message("command", exchange="", key=queue.name)])
    async with other.running(), asyncio.timeout(30):
        assert await drain(declared, 1) == [b"command"]


async def test_a_relay_that_cannot_publish_remembers_nothing_of_what_is_handed_over_and_publishes_it_later(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool
) -> None:
    silent = await Publisher.open(bus, "test")
    silent._channel = None
    relay = Relay(database, silent, handed_keys=[queue.name])
    command = message("command", exchange="", key=queue.name)
    await written(database, [command])
    relay.hand_over([command])
    await relay.publish_handed()
    assert list(relay._own) == [command.id]
    async with relay.running(), asyncio.timeout(30):
        while relay._own:
            await asyncio.sleep(0.01)
        assert await database.fetchval("select count(*) from outbox") == 1

        declared = await declare(await bus.channel(), queue)
        silent._channel = publisher._channel
        assert await drain(declared, 1) == [b"command"]


async def test_a_batch_leaves_what_is_being_published_alone(
    bus: amqp.Connection, queue: Queue, publisher: Publisher, database: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = await declare(await bus.channel(), queue)
    relay = Relay(database, publisher, handed_keys=[queue.name])
    command = message("command", exchange="", key=queue.name)
    await written(database, [command])
    publish_all = publisher.publish_all

    async def with_a_batch_meanwhile(messages: Sequence[OutboxMessage]) -> list[bool]:
        assert await relay.relay_batch() == 0
        return await publish_all(messages)

    monkeypatch.setattr(publisher, "publish_all", with_a_batch_meanwhile)
    relay.hand_over([command])
    await relay.publish_handed()
    assert await drain(declared, 1) == [b"command"]
    assert await relay.relay_batch() == 1
    assert await database.fetchval("select count(*) from outbox") == 0
