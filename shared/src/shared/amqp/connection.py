"""A connection to RabbitMQ that is made anew, with everything that was set up on it, whenever it breaks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError

from shared.process.startup import wait_for_server

HEARTBEAT_SECONDS = 5
CONNECT_SECONDS = 5.0
REPAIR_SECONDS = 10.0
"""For one try: to connect, and to set up everything again."""

RETRY_SECONDS = 1.0
FAREWELL_SECONDS = 1.0

NOT_YET = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What aio-pika and aiormq raise for a broker that is away, leaving, or still coming up."""

log = structlog.get_logger()
Step = Callable[[], Awaitable[None]]
T = TypeVar("T")


class Connection:
    """One connection at a time, and the steps that make it useful: each is taken again on every new connection.

    Whatever breaks - connection, channel, consumer - breaks the whole, so there is one way to recover and no half
    of it can be left behind. (Decision 27 tells why aio-pika's own robust connection is not used.)
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._steps: list[Step] = []
        self._connection: AbstractConnection | None = None
        self._broken = asyncio.Event()
        self._changing = asyncio.Lock()

    async def on_connect(self, step: Step) -> None:
        """Take a step, again while the broker is still coming up, and from then on with every new connection.

        A broker that answers may yet be electing a leader for a queue it has just been told of, and then drops whoever
        asks. Raises ``UnreachableError`` as ``connect`` does.
        """
        await wait_for_server("RabbitMQ", "AMQP_URL", self._url, lambda: self._begin(step), on=NOT_YET)

    def remove_on_connect(self, step: Step) -> None:
        """Leave a step out of what is set up next time."""
        self._steps.remove(step)

    async def channel(self, *, publisher_confirms: bool = True, on_return_raises: bool = False) -> AbstractChannel:
        """A channel whose end, by whatever cause, is the end of this connection. Raises ``ConnectionError``."""
        connection = self._alive()
        channel = connection.channel(publisher_confirms=publisher_confirms, on_return_raises=on_return_raises)
        await channel.initialize()
        channel.close_callbacks.add(lambda *_: self._lost(connection))
        return channel

    def give_up(self) -> None:
        """Begin anew with another connection: something on this one is not as it should be."""
        self._broken.set()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator["Connection"]:
        """Connected, and repaired for as long as the block lasts."""
        await wait_for_server("RabbitMQ", "AMQP_URL", self._url, self._connect, on=NOT_YET)
        keeper = asyncio.create_task(self._keep(), name=f"amqp-{self._name}")
        try:
            yield self
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await self._leave()

    async def _begin(self, step: Step) -> None:
        async with self._changing:
            self._alive()
            try:
                await raise_on_broker_loss(step())
            except BaseException:
                self.give_up()  # what it had half done goes with the connection
                raise
            self._steps.append(step)

    async def _keep(self) -> None:
        while True:
            await self._broken.wait()
            async with self._changing:
                await self._repair()

    async def _repair(self) -> None:
        log.warning("rabbitmq.lost", connection=self._name)
        while True:
            try:
                async with asyncio.timeout(REPAIR_SECONDS):
                    await self._anew()
            except Exception as error:  # noqa: BLE001  a keeper that ended would leave us deaf and dumb for good
                log.warning("rabbitmq.awaited", connection=self._name, error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                log.info("rabbitmq.back", connection=self._name)
                return

    async def _anew(self) -> None:
        await self._leave()
        await self._connect()
        for step in self._steps:
            await raise_on_broker_loss(step())

    async def _connect(self) -> None:
        self._broken.clear()
        opened = await raise_on_broker_loss(
            aio_pika.connect(
                self._url,
                heartbeat=HEARTBEAT_SECONDS,
                timeout=CONNECT_SECONDS,
                client_properties={"connection_name": self._name},
            )
        )
        self._connection = opened
        opened.close_callbacks.add(lambda *_: self._lost(opened))

    async def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_quietly(connection.close())

    def _alive(self) -> AbstractConnection:
        if self._connection is None or self._broken.is_set():
            raise ConnectionError("the broker is away")
        return self._connection

    def _lost(self, connection: AbstractConnection) -> None:
        """Note that a connection ended; one that we left ourselves is none of ours any more."""
        if connection is self._connection:
            self._broken.set()


@asynccontextmanager
async def connect(url: str, name: str) -> AsyncIterator[Connection]:
    """A link to the broker. Use separate ones to publish and to consume.

    (A broker under a memory alarm blocks publishing connections, and with them every call on them.)
    Raises ``UnreachableError`` when the broker does not answer at start.
    """
    async with Connection(url, name).kept() as link:
        yield link


async def raise_on_broker_loss(work: Awaitable[T]) -> T:
    """``work``, but with a frozen or lost broker told as ``ConnectionError``.

    aio-pika cancels its own futures when it gives a broker up: a bare ``CancelledError`` in a task nobody cancelled.
    """
    try:
        return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ConnectionError("the broker went away") from None


async def close_quietly(goodbye: Awaitable[object]) -> None:
    """Say goodbye to a broker that may be long gone: it is told, not waited for."""
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await raise_on_broker_loss(goodbye)
    except Exception as error:  # noqa: BLE001  whatever it says, we are leaving
        log.info("rabbitmq.left", error=type(error).__name__)
