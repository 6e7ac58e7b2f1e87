"""Watches the queue of a consumer: whether the broker counts a consumer on it, and how many messages wait and park."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from prometheus_client import Gauge

from shared.amqp.queues import Queue
from shared.background import running, until_tick

INTERVAL_SECONDS = 5.0
CHECK_SECONDS = 20.0
"""Longer than heartbeats need to end a dead connection: a cancelled call would close the channel of the consumer."""

CONSUMING = Gauge("haoma_consuming", "1 while the broker counts a consumer on the queue, else 0", ["queue"])
READY = Gauge("haoma_queue_messages_ready", "Messages that wait in the queue, as the broker last told", ["queue"])

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the broker tells of a queue: the messages that wait, the consumers, and the messages that are parked."""

    ready: int
    consumers: int
    parked: int


@asynccontextmanager
async def monitoring(queue: Queue, state: Callable[[], Awaitable[QueueState]]) -> AsyncIterator[None]:
    """Show the queue in the gauges until the block ends, and log when its consumers come and go.

    ``state`` raises if the broker does not answer.
    """
    async with running(_monitor(queue, state), name=f"monitor-{queue.name}"):
        yield


async def _monitor(queue: Queue, state: Callable[[], Awaitable[QueueState]]) -> None:
    was_consuming = True
    while True:
        is_consuming = await _show(queue, state)
        CONSUMING.labels(queue.name).set(is_consuming)
        if is_consuming is not was_consuming:
            log.warning("consumer.changed", queue=queue.name, consuming=is_consuming)
        was_consuming = is_consuming
        await asyncio.sleep(until_tick(INTERVAL_SECONDS))


async def _show(queue: Queue, state: Callable[[], Awaitable[QueueState]]) -> bool:
    """Set the gauges of messages. Returns whether the queue has a consumer, as far as the broker tells."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            found = await state()
    except Exception as error:  # noqa: BLE001  any error means that the broker did not tell
        log.debug("queue.check_failed", queue=queue.name, error=type(error).__name__)
        return False
    READY.labels(queue.name).set(found.ready)
    READY.labels(queue.parked).set(found.parked)
    return found.consumers > 0
