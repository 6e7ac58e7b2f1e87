"""RabbitMQ: a publisher with confirms, and consumers that retry on a ladder and then park."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import UUID

import aio_pika
import structlog
from aio_pika.abc import (
    AbstractChannel,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
    AbstractRobustConnection,
)
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from prometheus_client import Counter

from shared.events import EXCHANGE, Outgoing, new_id
from shared.startup import reach

HEARTBEAT_SECONDS = 5
DRAIN_SECONDS = 15.0
"""For messages being handled when a consumer is told to stop; those not done come again."""

PUBLISH_SECONDS = 5.0
FAREWELL_SECONDS = 1.0
NOT_MOVED_SECONDS = 1.0

LADDER_SECONDS = (1, 10, 60)
"""How long a message rests after each failure; after the last rung it is parked."""

ATTEMPT = "x-haoma-attempt"
Arguments = dict[str, Any]
QUORUM: Arguments = {"x-queue-type": "quorum"}
RETRIED = Counter("haoma_messages_retried_total", "Messages sent to rest on the ladder", ["queue"])
PARKED = Counter("haoma_messages_parked_total", "Messages given up on and kept for a person", ["queue"])

log = structlog.get_logger()
Handle = Callable[[bytes], Awaitable[None]]
T = TypeVar("T")

_NOT_YET = (AMQPError, OSError, TimeoutError, RuntimeError)


class RefusedError(Exception):
    """The broker answered and did not take this message: unroutable, or turned down."""


class PoisonError(Exception):
    """Raised by a handler: this message can never be handled. It is parked at once."""


@asynccontextmanager
async def connection(url: str, name: str) -> AsyncIterator[AbstractRobustConnection]:
    """A connection that comes back by itself. Use separate ones to publish and to consume.

    (A broker under a memory alarm blocks publishing connections, and with them every call on them.)
    """

    async def connect() -> AbstractRobustConnection:
        return await aio_pika.connect_robust(
            url,
            heartbeat=HEARTBEAT_SECONDS,
            timeout=5,
            reconnect_interval=1,
            client_properties={"connection_name": name},
        )

    opened = await reach("RabbitMQ", "AMQP_URL", url, connect, on=_NOT_YET)
    try:
        yield opened
    finally:
        await _farewell(opened.close())


async def insist(connection: AbstractRobustConnection, step: Callable[[], Awaitable[T]]) -> T:
    """Take a first step on a connection, again while the broker is still coming up.

    A broker that answers may yet be electing a leader for a queue it has just been told of, and then drops whoever
    asks. Raises ``UnreachableError`` as ``connection`` does.
    """
    url = str(cast("aio_pika.RobustConnection", connection).url)
    return await reach("RabbitMQ", "AMQP_URL", url, lambda: _honest(step()), on=_NOT_YET)


async def _honest(work: Awaitable[T]) -> T:
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


async def _farewell(goodbye: Awaitable[object]) -> None:
    """Say goodbye to a broker that may be long gone: it is told, not waited for."""
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await _honest(goodbye)
    except Exception as error:  # noqa: BLE001  whatever it says, we are leaving
        log.info("rabbitmq.left", error=type(error).__name__)


class Publisher:
    """Publishes persistent messages and waits for the broker's confirm."""

    def __init__(self, channel: AbstractChannel, exchanges: dict[str, AbstractExchange]) -> None:
        self._channel = channel
        self._exchanges = exchanges

    @classmethod
    async def open(cls, connection: AbstractRobustConnection) -> "Publisher":
        """Declare the exchanges and make ready to publish."""

        async def step() -> "Publisher":
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            events = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
            return cls(channel, {EXCHANGE: events, "": channel.default_exchange})

        return await insist(connection, step)

    async def publish(self, message: Outgoing, *, headers: dict[str, int] | None = None) -> None:
        """Publish one message. Raises ``RefusedError``, or ``ConnectionError`` when the broker is away.

        An event with no listener is no fault; a command (default exchange) must reach its queue.
        """
        amqp_message = aio_pika.Message(
            message.body,
            headers=dict(headers or {}),
            content_type="application/cloudevents+json" if message.exchange else "application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(message.id),
            type=message.routing_key,
        )
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                sending = self._exchanges[message.exchange].publish(
                    amqp_message, message.routing_key, mandatory=not message.exchange
                )
                await _honest(sending)
        except (DeliveryError, PublishError) as error:
            raise RefusedError(type(error).__name__) from error
        except (TimeoutError, AMQPError, RuntimeError) as error:
            raise ConnectionError("the broker is away") from error


@dataclass(frozen=True)
class Queue:
    """A consumer's own durable queue, what it listens to, and how many messages it takes at once."""

    name: str
    keys: Sequence[str] = ()
    prefetch: int = 50

    @property
    def parked(self) -> str:
        """Where messages end that were given up on. A person looks, mends, and moves them back."""
        return f"{self.name}.parked"

    def rung(self, seconds: int) -> str:
        """The queue in which a failed message rests before it comes back."""
        return f"{self.name}.retry.{seconds}s"


async def declare(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    """Declare a queue with its ladder and parking place, and bind it to the events it wants."""
    await channel.declare_queue(queue.parked, durable=True, arguments=QUORUM)
    for seconds in LADDER_SECONDS:
        back: Arguments = {
            "x-message-ttl": seconds * 1000,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue.name,
        }
        await channel.declare_queue(queue.rung(seconds), durable=True, arguments=QUORUM | back)
    declared = await channel.declare_queue(queue.name, durable=True, arguments=QUORUM)
    if queue.keys:
        events = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        for key in queue.keys:
            await declared.bind(events, key)
    return declared


class Consumer:
    """Feeds a queue's messages to a handler; acknowledges after the work, never before.

    A handler that raises ``PoisonError`` parks the message; any other exception sends it to rest on the
    ladder. Neither holds up the messages behind it.
    """

    def __init__(self, queue: Queue, handle: Handle, publisher: Publisher) -> None:
        self._queue = queue
        self._handle = handle
        self._publisher = publisher
        self._declared: AbstractQueue | None = None
        self._handling: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def running(self, connection: AbstractRobustConnection) -> AsyncIterator[None]:
        """Consume for as long as the block lasts; what was being handled is finished first."""
        channel, tag = await insist(connection, lambda: self._begin(connection))
        try:
            yield
        finally:
            if self._declared is not None:
                await _farewell(self._declared.cancel(tag))
            if self._handling:  # closing the channel would cancel them half-way
                await asyncio.wait(self._handling, timeout=DRAIN_SECONDS)
            await _farewell(channel.close())

    async def _begin(self, connection: AbstractRobustConnection) -> tuple[AbstractChannel, str]:
        channel = await connection.channel(publisher_confirms=False)
        try:
            await channel.set_qos(self._queue.prefetch)
            self._declared = await declare(channel, self._queue)
            return channel, await self._declared.consume(self._take)
        except BaseException:
            await _farewell(channel.close())  # or it would come back with the connection, and consume beside the next
            raise

    async def check(self) -> None:
        """For readiness. Raises unless the broker knows the queue and somebody consumes it."""
        if self._declared is None:
            raise ConnectionError("not consuming")
        found = await self._declared.channel.get_underlay_channel()
        declared = await found.queue_declare(self._queue.name, passive=True)
        if not declared.consumer_count:
            raise ConnectionError("no consumer on the queue")

    async def _take(self, message: AbstractIncomingMessage) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine that runs has one
        self._handling.add(task)
        try:
            await self._settle(message)
        finally:
            self._handling.discard(task)

    async def _settle(self, message: AbstractIncomingMessage) -> None:
        try:
            await self._handle(message.body)
        except PoisonError as error:
            log.error("message.poison", queue=self._queue.name, message_id=message.message_id, reason=str(error))
            await self._move(message, self._queue.parked, 0)
        except Exception as error:
            attempt = _attempts(message)
            log.warning(
                "message.failed",
                queue=self._queue.name,
                message_id=message.message_id,
                attempt=attempt + 1,
                exc_info=error,
            )
            await self._rest(message, attempt)
        else:
            await message.ack()

    async def _rest(self, message: AbstractIncomingMessage, attempt: int) -> None:
        if attempt < len(LADDER_SECONDS):
            RETRIED.labels(self._queue.name).inc()
            await self._move(message, self._queue.rung(LADDER_SECONDS[attempt]), attempt + 1)
        else:
            log.error("message.parked", queue=self._queue.name, message_id=message.message_id)
            await self._move(message, self._queue.parked, attempt)

    async def _move(self, message: AbstractIncomingMessage, queue: str, attempt: int) -> None:
        """Put a copy elsewhere and only then let go of the original: a crash in between leaves two, never none."""
        if queue == self._queue.parked:
            PARKED.labels(self._queue.name).inc()
        moved = Outgoing(_identity(message), "", queue, message.body)
        try:
            await self._publisher.publish(moved, headers={ATTEMPT: attempt})
        except (RefusedError, ConnectionError) as error:
            log.warning("message.not_moved", queue=queue, message_id=message.message_id, error=type(error).__name__)
            await asyncio.sleep(NOT_MOVED_SECONDS)  # or it would come back at once, and again
            await message.nack(requeue=True)
        else:
            await message.ack()


def _attempts(message: AbstractIncomingMessage) -> int:
    """How often it has failed before; a header that somebody else wrote counts as never."""
    told = (message.headers or {}).get(ATTEMPT)
    return told if isinstance(told, int) and not isinstance(told, bool) and told >= 0 else 0


def _identity(message: AbstractIncomingMessage) -> UUID:
    try:
        return UUID(message.message_id or "")
    except ValueError:
        return new_id()
