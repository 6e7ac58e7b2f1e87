"""Queues that tests delete when they have ended."""

import asyncio

from shared import amqp
from shared.amqp import Queue


async def delete(bus: amqp.Connection, queue: Queue) -> None:
    """Delete the queues of a consumer, and their exchange: again where the connection ends, as some tests make it."""
    async with asyncio.timeout(60):
        while not await _is_deleted(bus, queue):
            await asyncio.sleep(0.2)


async def _is_deleted(bus: amqp.Connection, queue: Queue) -> bool:
    try:
        channel = await bus.channel()
        for name in (queue.name, queue.parked, *(queue.retry_queue(seconds) for seconds in amqp.RETRY_DELAYS)):
            await channel.queue_delete(name)
        await channel.exchange_delete(queue.name)
    except Exception:  # noqa: BLE001  aiormq raises a bare one when a connection ends
        return False
    return True
