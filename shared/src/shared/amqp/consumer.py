"""Feed a queue's messages to a handler: what fails rests on a ladder, what can never succeed is parked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import structlog
from aiormq.abc import AbstractChannel, DeliveredMessage
from prometheus_client import Counter

from shared.amqp.acks import Acks
from shared.amqp.connection import Connection, close_quietly
from shared.amqp.publisher import Publisher, RefusedError
from shared.amqp.queues import RETRY_DELAYS, Queue, declare
from shared.events import OutboxMessage, new_id

DRAIN_SECONDS = 15.0
"""For messages being handled when a consumer is told to stop; those not done come again."""

NOT_MOVED_SECONDS = 1.0
ATTEMPT = "x-haoma-attempt"
RETRIED = Counter("haoma_messages_retried_total", "Messages sent to rest on the ladder", ["queue"])
PARKED = Counter("haoma_messages_parked_total", "Messages given up on and kept for a person", ["queue"])

log = structlog.get_logger()
Handle = Callable[[bytes], Awaitable[None]]


class PoisonError(Exception):
    """Raised by a handler: this message can never be handled. It is parked at once."""


class Consumer:
    """Feeds a queue's messages to a handler; acknowledges after the work, never before.

    A handler that raises ``PoisonError`` parks the message; any other exception sends it to rest on the
    ladder. Neither holds up the messages behind it.
    """

    def __init__(self, queue: Queue, handle: Handle, publisher: Publisher) -> None:
        self._queue = queue
        self._handle = handle
        self._publisher = publisher
        self._channel: AbstractChannel | None = None
        self._tag = ""
        self._acks: Acks | None = None
        self._handling: set[asyncio.Task[object]] = set()
        self._stopped = False

    @asynccontextmanager
    async def running(self, link: Connection) -> AsyncIterator[None]:
        """Consume for as long as the block lasts; what was being handled is finished first."""
        begin = partial(self._begin, link)
        self._stopped = False
        await link.on_connect(begin)
        try:
            yield
        finally:
            link.remove_on_connect(begin)
            await self._end()

    async def _begin(self, link: Connection) -> None:
        channel = await link.channel(publisher_confirms=False)
        await channel.set_qos(self._queue.prefetch)
        await declare(channel, self._queue)
        # Beneath aio-pika, which makes one more task, and an object with many properties, of each message.
        beneath = await channel.get_underlay_channel()
        beneath.on_consumer_cancel_callbacks.add(lambda _: link.give_up())
        self._acks = Acks(beneath)
        self._channel = beneath
        begun = await beneath.basic_consume(self._queue.name, partial(self._take, self._acks))
        self._tag = begun.consumer_tag or ""

    async def _end(self) -> None:
        if self._channel is not None:
            await close_quietly(self._channel.basic_cancel(self._tag))
        self._stopped = True
        if self._handling:
            await asyncio.wait(self._handling, timeout=DRAIN_SECONDS)
        if self._acks is not None:
            await close_quietly(self._acks.flushed())

    async def check(self) -> None:
        """For readiness. Raises unless the broker knows the queue and somebody consumes it."""
        if self._channel is None:
            raise ConnectionError("not consuming")
        found = await self._channel.queue_declare(self._queue.name, passive=True)
        if not found.consumer_count:
            raise ConnectionError("no consumer on the queue")

    async def _take(self, acks: Acks, message: DeliveredMessage) -> None:
        """Handle it in a task of our own: aiormq cancels those of a channel that is lost, whatever they were about."""
        if self._stopped:
            return
        assert message.delivery_tag is not None  # noqa: S101  it was delivered
        acks.begin(message.delivery_tag)
        task = asyncio.create_task(self._settle(acks, message, message.delivery_tag))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _settle(self, acks: Acks, message: DeliveredMessage, tag: int) -> None:
        if await self._is_settled(message):
            acks.done(tag)
        else:
            await acks.give_back(tag)

    async def _is_settled(self, message: DeliveredMessage) -> bool:
        """Handle it, or put it where it belongs. False when neither could be done: the broker is to keep it."""
        try:
            await self._handle(message.body)
        except PoisonError as error:
            log.error("message.poison", queue=self._queue.name, message_id=_message_id(message), reason=str(error))
            return await self._is_moved(message, self._queue.parked, 0)
        except Exception as error:
            attempt = _attempts(message)
            log.warning(
                "message.failed",
                queue=self._queue.name,
                message_id=_message_id(message),
                attempt=attempt + 1,
                exc_info=error,
            )
            return await self._is_resting(message, attempt)
        return True

    async def _is_resting(self, message: DeliveredMessage, attempt: int) -> bool:
        if attempt < len(RETRY_DELAYS):
            RETRIED.labels(self._queue.name).inc()
            return await self._is_moved(message, self._queue.rung(RETRY_DELAYS[attempt]), attempt + 1)
        log.error("message.parked", queue=self._queue.name, message_id=_message_id(message))
        return await self._is_moved(message, self._queue.parked, attempt)

    async def _is_moved(self, message: DeliveredMessage, queue: str, attempt: int) -> bool:
        """Put a copy elsewhere before the original is let go: a crash in between leaves two, never none."""
        if queue == self._queue.parked:
            PARKED.labels(self._queue.name).inc()
        moved = OutboxMessage(_identity(message), "", queue, message.body)
        try:
            await self._publisher.publish(moved, headers={ATTEMPT: attempt})
        except (RefusedError, ConnectionError) as error:
            log.warning("message.not_moved", queue=queue, message_id=_message_id(message), error=type(error).__name__)
            await asyncio.sleep(NOT_MOVED_SECONDS)  # or it would come back at once, and again
            return False
        return True


def _attempts(message: DeliveredMessage) -> int:
    """How often it has failed before; a header that somebody else wrote counts as never."""
    told = (message.header.properties.headers or {}).get(ATTEMPT)
    return told if isinstance(told, int) and not isinstance(told, bool) and told >= 0 else 0


def _message_id(message: DeliveredMessage) -> str:
    return message.header.properties.message_id or ""


def _identity(message: DeliveredMessage) -> UUID:
    try:
        return UUID(_message_id(message))
    except ValueError:
        return new_id()
