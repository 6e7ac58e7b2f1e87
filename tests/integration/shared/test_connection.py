"""The link to a real broker, through a wire that is cut: wherever it breaks, everything is there again afterwards."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from aio_pika.exceptions import AMQPError

from shared import amqp
from shared.amqp import connection
from shared.events import EXCHANGE, OutboxMessage, new_id

STEP_BYTES = 150
"""About a frame or two: each new connection gets so much further than the one before."""


class WireModel:
    """A TCP proxy in front of the broker that lets so many bytes of a client pass, and then cuts the line."""

    def __init__(self, url: str) -> None:
        self._broker = urlsplit(url)
        self._lines: set[asyncio.StreamWriter] = set()
        self.allowed: list[int] = []
        self.cuts = 0

    @asynccontextmanager
    async def up(self) -> AsyncIterator[str]:
        """The broker's URL by way of the wire."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user, _, _ = self._broker.netloc.rpartition("@")
        async with server:
            yield self._broker._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
            self.cut()

    def cut(self) -> None:
        """Cut every line at once, without a goodbye."""
        for line in self._lines:
            line.transport.abort()
        self._lines.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.allowed.pop(0) if self.allowed else None
        there, back = await asyncio.open_connection(self._broker.hostname, self._broker.port)
        self._lines |= {writer, back}
        answers = asyncio.create_task(self._pass_on(there, writer, None))
        await self._pass_on(reader, back, left)
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        try:
            while data := await reader.read(4096):
                writer.write(data[:left])
                left = None if left is None else left - len(data)
                if left is not None and left <= 0:
                    self.cuts += 1
                    self.cut()
        except OSError:
            pass  # it was cut
        finally:
            writer.transport.abort()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RETRY_SECONDS", 0.01)


@pytest.fixture
def wire(amqp_url: str) -> WireModel:
    return WireModel(amqp_url)


@pytest.fixture
async def queue(amqp_url: str) -> AsyncIterator[amqp.Queue]:
    made = amqp.Queue(f"test.{secrets.token_hex(4)}", keys=[f"test.{secrets.token_hex(4)}.#"])
    yield made
    async with amqp.connect(amqp_url, "tests") as opened:
        channel = await opened.channel()
        for name in (made.name, made.parked, *map(made.retry_queue, amqp.RETRY_DELAYS)):
            await channel.queue_delete(name)


@asynccontextmanager
async def following(url: str, amqp_url: str, queue: amqp.Queue) -> AsyncIterator[tuple[amqp.Publisher, asyncio.Queue]]:
    """A consumer that listens by way of ``url``, and a publisher whose line is never touched."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(body: bytes) -> None:
        heard.put_nowait(body)

    async with amqp.connect(url, "cut") as cut, amqp.connect(amqp_url, "whole") as whole:
        publisher = await amqp.Publisher.open(whole)
        async with amqp.Consumer(queue, hear, publisher).running(cut):
            yield publisher, heard


def fact(queue: amqp.Queue, body: bytes) -> OutboxMessage:
    return OutboxMessage(new_id(), EXCHANGE, queue.keys[0].replace("#", "fact"), body)


async def heard_through(publisher: amqp.Publisher, heard: asyncio.Queue[bytes], queue: amqp.Queue) -> None:
    """Passes once a message sent now is heard; those of before may come first."""
    body = secrets.token_bytes(8)
    await publisher.publish(fact(queue, body))
    async with asyncio.timeout(30):
        while await heard.get() != body:
            pass


async def test_a_consumer_is_back_wherever_in_its_set_up_the_line_was_cut(
    wire: WireModel, amqp_url: str, queue: amqp.Queue
) -> None:
    async with wire.up() as url, following(url, amqp_url, queue) as (publisher, heard):
        await heard_through(publisher, heard, queue)
        wire.allowed = list(range(STEP_BYTES, 20 * STEP_BYTES, STEP_BYTES))
        wire.cut()
        await heard_through(publisher, heard, queue)
        assert wire.cuts >= 8, "the set-up was cut at too few places to say anything"


async def test_a_publisher_says_that_the_line_is_cut_and_works_again_when_it_is_mended(wire: WireModel) -> None:
    async with wire.up() as url, amqp.connect(url, "cut") as cut:
        publisher = await amqp.Publisher.open(cut)
        wire.allowed = [STEP_BYTES] * 3
        wire.cut()
        with pytest.raises(ConnectionError):
            await publisher.publish(OutboxMessage(new_id(), EXCHANGE, "test.nobody.listens", b"x"))
        async with asyncio.timeout(30):
            while not await published(publisher):
                await asyncio.sleep(0.01)


async def published(publisher: amqp.Publisher) -> bool:
    try:
        await publisher.publish(OutboxMessage(new_id(), EXCHANGE, "test.nobody.listens", b"x"))
    except ConnectionError:
        return False
    return True


async def test_a_queue_that_was_deleted_is_declared_and_consumed_again(amqp_url: str, queue: amqp.Queue) -> None:
    async with following(amqp_url, amqp_url, queue) as (publisher, heard), amqp.connect(amqp_url, "x") as other:
        channel = await other.channel()
        await channel.queue_delete(queue.name)
        async with asyncio.timeout(30):
            while heard.empty():
                await publisher.publish(fact(queue, b"again"))  # lost while nobody has declared the queue
                await asyncio.sleep(0.02)


async def test_what_was_not_acknowledged_when_the_line_was_cut_comes_again(
    wire: WireModel, amqp_url: str, queue: amqp.Queue
) -> None:
    begun, go_on, handled = asyncio.Event(), asyncio.Event(), []

    async def slow(body: bytes) -> None:
        begun.set()
        await go_on.wait()
        handled.append(body)

    async with wire.up() as url, amqp.connect(url, "cut") as cut, amqp.connect(amqp_url, "whole") as whole:
        publisher = await amqp.Publisher.open(whole)
        async with amqp.Consumer(queue, slow, publisher).running(cut):
            await publisher.publish(fact(queue, b"once more"))
            await begun.wait()
            wire.cut()
            go_on.set()
            async with asyncio.timeout(30):
                while len(handled) < 2:
                    await asyncio.sleep(0.01)
    assert handled == [b"once more"] * 2


async def test_what_is_being_handled_when_the_line_is_cut_is_handled_to_its_end(
    wire: WireModel, amqp_url: str, queue: amqp.Queue
) -> None:
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), []

    async def slow(_: bytes) -> None:
        begun.set()
        try:
            await go_on.wait()
        finally:
            ended.append(asyncio.current_task().cancelling())  # type: ignore[union-attr]

    async with wire.up() as url, amqp.connect(url, "cut") as cut, amqp.connect(amqp_url, "whole") as whole:
        publisher = await amqp.Publisher.open(whole)
        consumer = amqp.Consumer(queue, slow, publisher)
        async with consumer.running(cut):
            await publisher.publish(fact(queue, b"half sent"))
            await begun.wait()
            wire.cut()
            async with asyncio.timeout(30):
                while not await is_consuming(consumer):
                    await asyncio.sleep(0.01)
            assert not ended
            go_on.set()
    assert ended == [0, 0], "it was handled to its end, and once more when it had come again"


async def is_consuming(consumer: amqp.Consumer) -> bool:
    try:
        await consumer.check()
    except (ConnectionError, OSError, RuntimeError, AMQPError):
        return False
    return True


async def test_messages_handled_out_of_order_are_all_acknowledged(amqp_url: str, queue: amqp.Queue) -> None:
    first, others = asyncio.Event(), []

    async def handle(body: bytes) -> None:
        if body == b"0":
            await first.wait()
        else:
            others.append(body)

    async with amqp.connect(amqp_url, "t") as opened:
        publisher = await amqp.Publisher.open(opened)
        channel = await opened.channel()
        async with amqp.Consumer(queue, handle, publisher).running(opened):
            for number in range(30):
                await publisher.publish(fact(queue, b"%d" % number))
            async with asyncio.timeout(30):
                while len(others) < 29:
                    await asyncio.sleep(0.01)
            first.set()
        found = await channel.declare_queue(queue.name, passive=True)
        assert found.declaration_result.message_count == 0
    async with amqp.connect(amqp_url, "t") as opened:  # what was not acknowledged would be back by now
        found = await (await opened.channel()).declare_queue(queue.name, passive=True)
        assert found.declaration_result.message_count == 0
