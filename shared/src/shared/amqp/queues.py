"""A consumer's queue, its retry queues and its parking queue, and the exchange that leads to them.

The exchange has the name of the queue, and its routing keys are the names of the queues. The default exchange leads to
every queue of the broker, so no service may publish to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue

from shared.events.envelope import EXCHANGE

RETRY_DELAYS = (1, 10, 60)
"""Seconds a message rests after its first, second and third failure. The fourth failure parks it."""

Arguments = dict[str, Any]
QUORUM: Arguments = {"x-queue-type": "quorum"}

# By default a quorum queue forgets an expired message before its target has it, and so loses those that expire while
# the broker restarts. This strategy needs this overflow rule.
AT_LEAST_ONCE: Arguments = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


@dataclass(frozen=True)
class Queue:
    """A durable queue: its name, the routing keys it is bound to, and how many messages its consumer holds at once."""

    name: str
    keys: Sequence[str] = ()
    prefetch: int = 50

    @property
    def parked(self) -> str:
        """The queue of messages that were given up. An operator inspects and replays them (``shared.parked``)."""
        return f"{self.name}.parked"

    def retry_queue(self, seconds: int) -> str:
        """The queue in which a failed message rests before it returns."""
        return f"{self.name}.rest.{seconds}s"


async def declare_parked(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    """Declare the parking queue of a queue alone: its consumer may not have started yet."""
    return await channel.declare_queue(queue.parked, durable=True, arguments=QUORUM)


async def declare(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    """Declare a queue with its exchange, its retry and parking queues, and bind it to its routing keys."""
    exchange = await channel.declare_exchange(queue.name, aio_pika.ExchangeType.DIRECT, durable=True)

    async def bound(name: str, arguments: Arguments) -> AbstractQueue:
        opened = await channel.declare_queue(name, durable=True, arguments=QUORUM | arguments)
        await opened.bind(exchange, name)
        return opened

    await bound(queue.parked, {})
    for seconds in RETRY_DELAYS:
        await bound(queue.retry_queue(seconds), _return_after(seconds, queue.name))
    declared = await bound(queue.name, {})
    if queue.keys:
        events = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        for key in queue.keys:
            await declared.bind(events, key)
    return declared


def _return_after(seconds: int, queue: str) -> Arguments:
    target = {"x-dead-letter-exchange": queue, "x-dead-letter-routing-key": queue}
    return {"x-message-ttl": seconds * 1000} | target | AT_LEAST_ONCE
