"""The connection to a real broker through a proxy that cuts it: after every break, everything works again."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed

from shared import amqp
from shared.amqp import connection, consumer
from shared.events.envelope import EXCHANGE, OutboxMessage, entry_of, new_id

STEP_BYTES = 150
"""About one or two frames: how much further each new connection gets than the one before."""


class CuttingProxy:
    """A TCP proxy in front of the broker that forwards a number of bytes of a client and then cuts its connection."""

    def __init__(self, url: str) -> None:
        self._broker = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self.allowed: list[int] = []
        self.cuts = 0

    @asynccontextmanager
    async def up(self) -> AsyncIterator[str]:
        """The broker's URL by way of the proxy."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user, _, _ = self._broker.netloc.rpartition("@")
        async with server:
            yield self._broker._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
            self.cut()

    @property
    def is_used(self) -> bool:
        """Whether a client is connected."""
        return bool(self._writers)

    def cut(self) -> None:
        """Cut every connection at once."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.allowed.pop(0) if self.allowed else None
        server_reader, server_writer = await asyncio.open_connection(self._broker.hostname, self._broker.port)
        self._writers |= {writer, server_writer}
        responses = asyncio.create_task(self._forward(server_reader, writer, None))
        await self._forward(reader, server_writer, left)
        responses.cancel()
        await asyncio.gather(responses, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        try:
            while data := await reader.read(4096):
                writer.write(data[:left])
                left = None if left is None else left - len(data)
                if left is not None and left <= 0:
                    self.cuts += 1
                    self.cut()
        except OSError:
            pass  # the connection was cut
        finally:
            writer.transport.abort()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RETRY_SECONDS", 0.01)


@pytest.fixture
def proxy(amqp_url: str) -> CuttingProxy:
    return CuttingProxy(amqp_url)


@pytest.fixture
async def queue(amqp_url: str) -> AsyncIterator[amqp.Queue]:
    queue = amqp.Queue(f"test.{secrets.token_hex(4)}", keys=[f"test.{secrets.token_hex(4)}.#"])
    yield queue
    async with amqp.connect(amqp_url, "tests") as opened:
        channel = await opened.channel()
        for name in (queue.name, queue.parked, *map(queue.retry_queue, amqp.RETRY_DELAYS)):
            await channel.queue_delete(name)


@asynccontextmanager
async def consuming(url: str, amqp_url: str, queue: amqp.Queue) -> AsyncIterator[tuple[amqp.Publisher, asyncio.Queue]]:
    """A consumer connected through ``url``, and a publisher whose connection is never cut."""
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(body: bytes) -> None:
        received.put_nowait(body)

    async with amqp.connect(url, "cut") as cut, amqp.connect(amqp_url, "whole") as whole:
        publisher = await amqp.Publisher.open(whole, "test")
        async with amqp.Consumer(queue, receive, publisher).running(cut):
            yield publisher, received


def message(queue: amqp.Queue, body: bytes) -> OutboxMessage:
    return OutboxMessage(new_id(), entry_of("test"), queue.keys[0].replace("#", "event"), body)


async def until_received(publisher: amqp.Publisher, received: asyncio.Queue[bytes], queue: amqp.Queue) -> None:
    """Wait until a message published now is received. Earlier messages may arrive first."""
    body = secrets.token_bytes(8)
    await publisher.publish(message(queue, body))
    async with asyncio.timeout(30):
        while await received.get() != body:
            pass


async def test_a_deleted_binding_comes_back_by_itself(
    amqp_url: str, queue: amqp.Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "DECLARE_SECONDS", 0.1)
    async with consuming(amqp_url, amqp_url, queue) as (publisher, received):
        async with amqp.connect(amqp_url, "operator") as operator:
            channel = await operator.channel()
            await (await channel.get_queue(queue.name)).unbind(EXCHANGE, queue.keys[0])
        async with asyncio.timeout(30):
            while received.empty():
                await publisher.publish(message(queue, b"after"))
                await asyncio.sleep(0.05)


async def test_bindings_that_the_broker_refuses_are_not_ready(amqp_url: str, queue: amqp.Queue) -> None:
    """Another queue of this name, with other arguments, is in the way."""

    async def receive(_: bytes) -> None: ...

    async with amqp.connect(amqp_url, "test") as opened, amqp.connect(amqp_url, "operator") as operator:
        running = amqp.Consumer(queue, receive, await amqp.Publisher.open(opened, "test"))
        async with running.running(opened):
            await running.check_bindings()
            channel = await operator.channel()
            await channel.queue_delete(queue.parked)
            await channel.declare_queue(queue.parked, durable=True)
            with pytest.raises(ChannelPreconditionFailed):
                await running.declare()
            with pytest.raises(ConnectionError):
                await running.check_bindings()
            await channel.queue_delete(queue.parked)
            async with asyncio.timeout(30):
                while await is_refused(running.check_bindings()):
                    await asyncio.sleep(0.05)


async def test_bindings_that_were_not_declared_for_long_are_not_ready_while_connected(
    amqp_url: str, queue: amqp.Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def receive(_: bytes) -> None: ...

    async with amqp.connect(amqp_url, "test") as opened:
        running = amqp.Consumer(queue, receive, await amqp.Publisher.open(opened, "test"))
        async with running.running(opened):
            monkeypatch.setattr(consumer, "DECLARED_FOR_SECONDS", 0.0)
            assert await is_refused(running.check_bindings())
            assert running._channel is not None
            await running._channel.close()
            await running.check_bindings()


async def is_refused(check: Awaitable[None]) -> bool:
    try:
        await check
    except ConnectionError:
        return True
    return False


async def test_a_consumer_recovers_from_a_cut_anywhere_in_its_setup(
    proxy: CuttingProxy, amqp_url: str, queue: amqp.Queue
) -> None:
    async with proxy.up() as url, consuming(url, amqp_url, queue) as (publisher, received):
        await until_received(publisher, received, queue)
        proxy.allowed = list(range(STEP_BYTES, 20 * STEP_BYTES, STEP_BYTES))
        proxy.cut()
        await until_received(publisher, received, queue)
        assert proxy.cuts >= 8, "the setup was cut in too few places"


async def test_a_publisher_reports_a_lost_connection_and_works_after_a_reconnect(proxy: CuttingProxy) -> None:
    async with proxy.up() as url, amqp.connect(url, "cut") as cut:
        publisher = await amqp.Publisher.open(cut, "test")
        proxy.allowed = [STEP_BYTES] * 3
        proxy.cut()
        with pytest.raises(ConnectionError):
            await publisher.publish(OutboxMessage(new_id(), entry_of("test"), "test.without.listener", b"x"))
        async with asyncio.timeout(30):
            while not await published(publisher):
                await asyncio.sleep(0.01)


async def published(publisher: amqp.Publisher) -> bool:
    try:
        await publisher.publish(OutboxMessage(new_id(), entry_of("test"), "test.without.listener", b"x"))
    except ConnectionError:
        return False
    return True


async def test_a_deleted_queue_is_declared_and_consumed_again(amqp_url: str, queue: amqp.Queue) -> None:
    async with consuming(amqp_url, amqp_url, queue) as (publisher, received), amqp.connect(amqp_url, "x") as other:
        channel = await other.channel()
        await channel.queue_delete(queue.name)
        async with asyncio.timeout(30):
            while received.empty():
                await publisher.publish(message(queue, b"again"))  # lost until the queue is declared again
                await asyncio.sleep(0.02)


async def test_messages_without_an_acknowledgement_are_delivered_again_after_a_cut(
    proxy: CuttingProxy, amqp_url: str, queue: amqp.Queue
) -> None:
    started, proceed, handled = asyncio.Event(), asyncio.Event(), []

    async def slow(body: bytes) -> None:
        started.set()
        await proceed.wait()
        handled.append(body)

    async with proxy.up() as url, amqp.connect(url, "cut") as cut, amqp.connect(amqp_url, "whole") as whole:
        publisher = await amqp.Publisher.open(whole, "test")
        async with amqp.Consumer(queue, slow, publisher).running(cut):
            await publisher.publish(message(queue, b"once more"))
            await started.wait()
            proxy.cut()
            proceed.set()
            async with asyncio.timeout(30):
                while len(handled) < 2:
                    await asyncio.sleep(0.01)
    assert handled == [b"once more"] * 2


async def test_messages_in_progress_are_finished_after_a_cut(
    proxy: CuttingProxy, amqp_url: str, queue: amqp.Queue
) -> None:
    started, proceed, ended = asyncio.Event(), asyncio.Event(), []

    async def slow(_: bytes) -> None:
        started.set()
        try:
            await proceed.wait()
        finally:
            ended.append(asyncio.current_task().cancelling())  # type: ignore[union-attr]

    async with proxy.up() as url, amqp.connect(url, "cut") as cut, amqp.connect(amqp_url, "whole") as whole:
        publisher = await amqp.Publisher.open(whole, "test")
        consumer = amqp.Consumer(queue, slow, publisher)
        async with consumer.running(cut):
            await publisher.publish(message(queue, b"half sent"))
            await started.wait()
            proxy.cut()
            async with asyncio.timeout(30):
                while not await is_consuming(consumer):
                    await asyncio.sleep(0.01)
            assert not ended
            proceed.set()
    assert ended == [0, 0], "handled to its end, and once more after the second delivery"


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
        publisher = await amqp.Publisher.open(opened, "test")
        channel = await opened.channel()
        async with amqp.Consumer(queue, handle, publisher).running(opened):
            for number in range(30):
                await publisher.publish(message(queue, b"%d" % number))
            async with asyncio.timeout(30):
                while len(others) < 29:
                    await asyncio.sleep(0.01)
            first.set()
        declared = await channel.declare_queue(queue.name, passive=True)
        assert declared.declaration_result.message_count == 0
    async with amqp.connect(amqp_url, "t") as opened:  # a message that was not acknowledged would be back by now
        declared = await (await opened.channel()).declare_queue(queue.name, passive=True)
        assert declared.declaration_result.message_count == 0


def with_nodes_before(url: str, *places: str) -> str:
    """The URL of a broker with other places before its own."""
    return url.replace("@", f"@{','.join(places)},")


async def test_a_node_that_refuses_and_one_that_stays_silent_are_passed_over(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "NODE_SECONDS", 1.0)
    monkeypatch.setattr(connection.time, "monotonic_ns", lambda: 1)

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(stay_silent, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        url = with_nodes_before(amqp_url, "127.0.0.1:1", f"127.0.0.1:{port}")
        async with amqp.connect(url, "test") as opened:
            assert not await opened.has_exchange("missing")


async def test_a_connection_that_breaks_goes_on_to_the_next_node(amqp_url: str, queue: amqp.Queue) -> None:
    proxies = CuttingProxy(amqp_url), CuttingProxy(amqp_url)
    async with proxies[0].up() as one, proxies[1].up() as two:
        url = with_nodes_before(one, two.rpartition("@")[2].partition("/")[0])
        async with consuming(url, amqp_url, queue) as (publisher, received):
            used = {proxy for proxy in proxies if proxy.is_used}
            next(iter(used)).cut()
            await until_received(publisher, received, queue)
            assert {proxy for proxy in proxies if proxy.is_used} == set(proxies) - used
