"""A connection to RabbitMQ that is replaced when it breaks, together with everything that was set up on it."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity

from shared.background import running
from shared.process.environment.server_urls import hosts_of
from shared.process.startup import wait_for_server
from shared.tls import clearest

HEARTBEAT_SECONDS = 5
CONNECT_SECONDS = 5.0
NODE_SECONDS = 2.5
"""The limit of connecting to a broker, and to one of several nodes: the next one is tried while there is time."""

RECONNECT_SECONDS = 10.0
"""The limit of one attempt to connect and to repeat every step."""

RETRY_SECONDS = 1.0
CLOSE_SECONDS = 1.0

BROKER_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What aio-pika and aiormq raise for a broker that is unavailable, shutting down or still starting."""

log = structlog.get_logger()
Step = Callable[[], Awaitable[None]]
T = TypeVar("T")


class Connection:
    """One connection at a time, and the steps that set it up. Every new connection repeats the steps.

    Of several nodes, each process begins with another one, and every attempt with the node after the last.
    A broken channel or consumer breaks the whole connection, so there is a single way to recover and nothing is left
    half set up. (Decision 27 explains why aio-pika's own robust connection is not used.)
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._nodes = deque(hosts_of(url))
        self._nodes.rotate(time.monotonic_ns() % len(self._nodes))
        self._steps: list[Step] = []
        self._connection: AbstractConnection | None = None
        self._broken = asyncio.Event()
        self._changing = asyncio.Lock()

    async def on_connect(self, step: Step) -> None:
        """Run a step now, and again on every new connection.

        A broker that is starting may drop a client that declares a queue before the queue has a leader, so the first
        run is retried. Raises ``UnreachableError`` as ``connect`` does.
        """
        await wait_for_server("RabbitMQ", "AMQP_URL", self._url, lambda: self._first_run(step), on=BROKER_ERRORS)

    def remove_on_connect(self, step: Step) -> None:
        """Do not run this step on later connections."""
        self._steps.remove(step)

    async def channel(self, *, publisher_confirms: bool = True, on_return_raises: bool = False) -> AbstractChannel:
        """Open a channel. When it closes, for any reason, the connection is replaced. Raises ``ConnectionError``."""
        connection = self._current()
        channel = connection.channel(publisher_confirms=publisher_confirms, on_return_raises=on_return_raises)
        await channel.initialize()
        channel.close_callbacks.add(lambda *_: self._on_close(connection))
        return channel

    async def has_exchange(self, name: str) -> bool:
        """Whether the broker has this exchange. Raises ``ConnectionError``."""
        channel = self._current().channel()  # the broker closes it if there is none, which breaks nothing else
        await channel.initialize()
        try:
            await channel.get_exchange(name, ensure=True)
        except ChannelNotFoundEntity:
            return False
        finally:
            await close_quietly(channel.close())
        return True

    async def ping(self) -> None:
        """Return if the broker answers on this connection. Raises ``ConnectionError``, ``AMQPError``."""
        channel = self._current().channel()
        await raise_on_broker_loss(channel.initialize())
        await close_quietly(channel.close())

    def reconnect(self) -> None:
        """Replace the connection: something on this one has failed."""
        self._broken.set()

    @asynccontextmanager
    async def maintained(self) -> AsyncIterator["Connection"]:
        """Connect, and replace broken connections until the block ends."""
        await wait_for_server("RabbitMQ", "AMQP_URL", self._url, self._connect, on=BROKER_ERRORS)
        try:
            async with running(self._maintain(), name=f"amqp-{self._name}"):
                yield self
        finally:
            await self._disconnect()

    async def _first_run(self, step: Step) -> None:
        async with self._changing:
            self._current()
            try:
                await raise_on_broker_loss(step())
            except BaseException:
                self.reconnect()  # which also discards what the step left half done
                raise
            self._steps.append(step)

    async def _maintain(self) -> None:
        while True:
            await self._broken.wait()
            async with self._changing:
                await self._recover()

    async def _recover(self) -> None:
        log.warning("rabbitmq.disconnected", connection=self._name)
        while True:
            try:
                async with asyncio.timeout(RECONNECT_SECONDS):
                    await self._replace()
            except Exception as error:  # noqa: BLE001  if this task ended, nothing would ever reconnect
                log.warning("rabbitmq.unavailable", connection=self._name, error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                log.info("rabbitmq.reconnected", connection=self._name)
                return

    async def _replace(self) -> None:
        await self._disconnect()
        await self._connect()
        for step in self._steps:
            await raise_on_broker_loss(step())

    async def _connect(self) -> None:
        self._broken.clear()
        opened = await self._open_next()
        self._connection = opened
        opened.close_callbacks.add(lambda *_: self._on_close(opened))

    async def _open_next(self) -> AbstractConnection:
        """A connection to the next node that accepts one. Raises the clearest error if none does."""
        errors: list[Exception] = []
        for _ in range(len(self._nodes)):
            self._nodes.rotate(-1)
            try:
                return await raise_on_broker_loss(self._open(self._nodes[0]))
            except BROKER_ERRORS as error:
                errors.append(error)
        raise clearest(errors)

    async def _open(self, url: str) -> AbstractConnection:
        return await aio_pika.connect(
            url,
            heartbeat=HEARTBEAT_SECONDS,
            timeout=CONNECT_SECONDS if len(self._nodes) == 1 else NODE_SECONDS,
            client_properties={"connection_name": self._name},
        )

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_quietly(connection.close())

    def _current(self) -> AbstractConnection:
        if self._connection is None or self._broken.is_set():
            raise ConnectionError("the broker is unavailable")
        return self._connection

    def _on_close(self, connection: AbstractConnection) -> None:
        """Note that the current connection ended. The end of an earlier one means nothing."""
        if connection is self._connection:
            self._broken.set()


@asynccontextmanager
async def connect(url: str, name: str) -> AsyncIterator[Connection]:
    """Connect to the broker. Use separate connections to publish and to consume.

    (Under a memory alarm the broker blocks connections that publish, with every other call on them.)
    Raises ``UnreachableError`` when the broker does not answer at start.
    """
    async with Connection(url, name).maintained() as connection:
        yield connection


async def raise_on_broker_loss(work: Awaitable[T]) -> T:
    """Await ``work``. Raises ``ConnectionError`` when the broker hangs or is lost meanwhile.

    aio-pika cancels its own futures when it gives up a broker, which raises ``CancelledError`` in a task that was not
    cancelled.
    """
    try:
        return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ConnectionError("the broker was lost") from None


async def close_quietly(closing: Awaitable[object]) -> None:
    """Await a close for at most a second and ignore its errors: the broker may be gone already."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await raise_on_broker_loss(closing)
    except Exception as error:  # noqa: BLE001  no error matters on a connection that is being left
        log.info("rabbitmq.close_failed", error=type(error).__name__)
