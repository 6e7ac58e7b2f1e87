"""A consumer hands a queue's messages to a handler. Failed messages are retried later; hopeless ones are parked."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import aio_pika
import structlog
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp import commands as spec
from prometheus_client import Counter

from shared.amqp.acks import Acks
from shared.amqp.connection import Connection, close_quietly, raise_on_broker_loss
from shared.amqp.publisher import Publisher, RefusedError
from shared.amqp.queue_monitor import QueueState, monitoring
from shared.amqp.queues import RETRY_DELAYS, Queue, declare
from shared.background import repeating
from shared.errors import is_outage
from shared.events.envelope import OutboxMessage, entry_of, new_id

DRAIN_SECONDS = 15.0
"""How long a stopping consumer waits for messages in progress. The broker delivers the unfinished ones again."""

DECLARE_SECONDS = 20.0
"""How often the queue and its bindings are declared again: an operator may delete them, and no client is notified."""

DECLARE_LIMIT_SECONDS = 10.0
DECLARED_FOR_SECONDS = 2 * DECLARE_SECONDS + 10
"""How long a declaration proves that the bindings exist."""

MOVE_RETRY_SECONDS = 1.0
OUTAGE_SECONDS = 1.0
"""How long a message keeps its place in the prefetch window during an outage, which slows the consumer down."""

ATTEMPT = "x-haoma-attempt"
FORGED = "forged:"
"""How the reason of a message begins that another service forged. It is never replayed."""
REASON = "x-haoma-reason"
"""Why a message was parked: a text of ours, or the class of the error."""
REFUSALS = (ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed)
RETRIED = Counter("haoma_messages_retried_total", "Messages moved to a retry queue", ["queue"])
WAITING = Counter("haoma_messages_waiting_total", "Messages that an outage put off, without an attempt", ["queue"])
PARKED = Counter("haoma_messages_parked_total", "Messages moved to the parking queue", ["queue"])

log = structlog.get_logger()
Handler = Callable[[bytes], Awaitable[None]]
AtRest = Callable[[bytes], bytes]
"""What of a body is kept in a retry or parking queue."""


class PoisonError(Exception):
    """A handler raises it for a message that can never be handled. The message is parked at once."""


class Consumer:
    """Hands a queue's messages to a handler and acknowledges each after the work.

    A handler that raises ``PoisonError`` parks the message. After any other exception the message rests in a retry
    queue. Neither delays the messages behind it. An outage (``ServiceError(UNAVAILABLE)``) is no fault of the message:
    it rests as often as it must, that never counts as an attempt, and the consumer slows down.

    A message tells by which exchange it entered the broker. If that is neither the queue's own nor that of the service
    whose events the queue takes, another service forged it, and it is parked (decision 95).
    """

    def __init__(
        self, queue: Queue, handler: Handler, publisher: Publisher, *, at_rest: AtRest = lambda body: body
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._publisher = publisher
        self._at_rest = at_rest
        self._origins = {"", queue.name, *map(entry_of, queue.keys)}
        self._channel: AbstractChannel | None = None
        self._declaring: aio_pika.abc.AbstractChannel | None = None
        self._declared_at = -DECLARED_FOR_SECONDS
        self._is_refused = False
        self._tag = ""
        self._acks: Acks | None = None
        self._handling: set[asyncio.Task[object]] = set()
        self._stopped = False

    @asynccontextmanager
    async def running(self, connection: Connection) -> AsyncIterator[None]:
        """Consume until the block ends, then finish the messages in progress."""
        begin = partial(self._begin, connection)
        self._stopped = False
        await connection.on_connect(begin)
        try:
            declaring = repeating("declare", DECLARE_SECONDS, self.declare, first_after=DECLARE_SECONDS)
            async with declaring, monitoring(self._queue, self.state):
                yield
        finally:
            connection.remove_on_connect(begin)
            await self._end()

    async def _begin(self, connection: Connection) -> None:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(self._queue.prefetch)
        self._declaring = channel
        await self.declare()
        # aiormq's channel: aio-pika would add a task and a large object for each message.
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: connection.reconnect())
        self._acks = Acks(underlay)
        self._channel = underlay
        consuming = await underlay.basic_consume(self._queue.name, partial(self._receive, self._acks))
        self._tag = consuming.consumer_tag or ""

    async def declare(self) -> None:
        """Declare the exchange, the queue and its bindings again. Raises ``ConnectionError``, ``AMQPError``."""
        if self._declaring is None:
            raise ConnectionError("not consuming")
        try:
            async with asyncio.timeout(DECLARE_LIMIT_SECONDS):
                await raise_on_broker_loss(declare(self._declaring, self._queue))
        except REFUSALS:
            self._is_refused = True
            raise
        self._declared_at, self._is_refused = time.monotonic(), False

    async def check_bindings(self) -> None:
        """For readiness. Raises while the broker answers and a binding is missing, or has not been proven for long.

        It does not raise without a broker: then nothing is published, so nothing passes the queue by.
        """
        is_connected = self._channel is not None and not self._channel.is_closed
        is_old = time.monotonic() - self._declared_at > DECLARED_FOR_SECONDS
        if self._is_refused or (is_connected and is_old):
            raise ConnectionError("the bindings are not proven")

    async def _end(self) -> None:
        if self._channel is not None:
            await close_quietly(self._channel.basic_cancel(self._tag))
        self._stopped = True
        if self._handling:
            await asyncio.wait(self._handling, timeout=DRAIN_SECONDS)
        if self._acks is not None:
            await close_quietly(self._acks.written())

    async def check(self) -> None:
        """For readiness. Raises unless the broker has the queue and the queue has a consumer."""
        if not (await self._declared(self._queue.name)).consumer_count:
            raise ConnectionError("no consumer on the queue")

    async def has_backlog(self) -> bool:
        """Whether more messages wait than the consumer takes at once. Raises as ``check`` does without a broker."""
        return ((await self._declared(self._queue.name)).message_count or 0) > self._queue.prefetch

    async def state(self) -> QueueState:
        """What the broker tells of the queue. Raises as ``check`` does without a broker."""
        own, parked = await self._declared(self._queue.name), await self._declared(self._queue.parked)
        return QueueState(own.message_count or 0, own.consumer_count or 0, parked.message_count or 0)

    async def _declared(self, name: str) -> spec.Queue.DeclareOk:
        if self._channel is None:
            raise ConnectionError("not consuming")
        return await raise_on_broker_loss(self._channel.queue_declare(name, passive=True))

    async def _receive(self, acks: Acks, message: DeliveredMessage) -> None:
        """Handle a delivery in a task of our own: aiormq cancels its tasks when it loses the channel."""
        if self._stopped:
            return
        assert message.delivery_tag is not None  # noqa: S101  the broker sets it on every delivery
        acks.begin(message.delivery_tag)
        task = asyncio.create_task(self._settle(acks, message, message.delivery_tag))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _settle(self, acks: Acks, message: DeliveredMessage, tag: int) -> None:
        acks.settle(tag, handled=await self._is_settled(message))

    async def _is_settled(self, message: DeliveredMessage) -> bool:
        """Handle a message, or move it to a retry or parking queue. False when neither was possible."""
        if message.exchange not in self._origins:
            reason = f"{FORGED} it came by {message.exchange}"
            log.error("message.forged", queue=self._queue.name, message_id=_message_id(message), reason=reason)
            return await self._is_moved(message, self._queue.parked, 0, reason=reason)
        try:
            await self._handler(message.body)
        except PoisonError as error:
            log.error("message.poisoned", queue=self._queue.name, message_id=_message_id(message), reason=str(error))
            return await self._is_moved(message, self._queue.parked, 0, reason=str(error))
        except Exception as error:
            attempt = _attempts(message)
            if is_outage(error):
                return await self._is_put_off(message, attempt)
            log.warning(
                "message.failed",
                queue=self._queue.name,
                message_id=_message_id(message),
                attempt=attempt + 1,
                exc_info=error,
            )
            return await self._is_postponed(message, attempt, _names(error))
        return True

    async def _is_put_off(self, message: DeliveredMessage, attempt: int) -> bool:
        """Let a message rest until the outage may be over. The number of its attempts stays the same."""
        WAITING.labels(self._queue.name).inc()
        log.warning("message.waiting", queue=self._queue.name, message_id=_message_id(message), attempt=attempt)
        await asyncio.sleep(OUTAGE_SECONDS)
        return await self._is_moved(message, self._queue.retry_queue(RETRY_DELAYS[0]), attempt)

    async def _is_postponed(self, message: DeliveredMessage, attempt: int, reason: str) -> bool:
        if attempt < len(RETRY_DELAYS):
            RETRIED.labels(self._queue.name).inc()
            return await self._is_moved(message, self._queue.retry_queue(RETRY_DELAYS[attempt]), attempt + 1)
        log.error("message.parked", queue=self._queue.name, message_id=_message_id(message))
        return await self._is_moved(message, self._queue.parked, attempt, reason=reason)

    async def _is_moved(self, message: DeliveredMessage, queue: str, attempt: int, *, reason: str = "") -> bool:
        """Publish a copy before the original is acknowledged: a crash in between leaves two copies, never none."""
        if queue == self._queue.parked:
            PARKED.labels(self._queue.name).inc()
        copy = OutboxMessage(_identity(message), self._queue.name, queue, self._at_rest(message.body))
        try:
            await self._publisher.publish(copy, headers={ATTEMPT: attempt} | ({REASON: reason} if reason else {}))
        except (RefusedError, ConnectionError) as error:
            log.warning("message.move_failed", queue=queue, message_id=_message_id(message), error=type(error).__name__)
            await asyncio.sleep(MOVE_RETRY_SECONDS)  # the broker would deliver it again at once
            return False
        return True


def _names(error: BaseException) -> str:
    """The classes of an error: a text of it may quote the message."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(sorted({_names(each) for each in error.exceptions}))
    return type(error).__name__


def _attempts(message: DeliveredMessage) -> int:
    """How often handling has failed before. A malformed header counts as never."""
    attempts = (message.header.properties.headers or {}).get(ATTEMPT)
    return attempts if isinstance(attempts, int) and not isinstance(attempts, bool) and attempts >= 0 else 0


def _message_id(message: DeliveredMessage) -> str:
    return message.header.properties.message_id or ""


def _identity(message: DeliveredMessage) -> UUID:
    try:
        return UUID(_message_id(message))
    except ValueError:
        return new_id()
