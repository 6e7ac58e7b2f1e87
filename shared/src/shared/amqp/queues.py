"""A consumer's queue with its ladder and its parking place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue

from shared.events import EXCHANGE

RETRY_DELAYS = (1, 10, 60)
"""How long a message rests after each failure; after the last rung it is parked."""

Arguments = dict[str, Any]
QUORUM: Arguments = {"x-queue-type": "quorum"}


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
    for seconds in RETRY_DELAYS:
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
