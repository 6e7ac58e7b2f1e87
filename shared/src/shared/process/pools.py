"""Pools of connections as gauges. They are read when Prometheus asks, so they cost the calls nothing."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import Gauge

SIZE = Gauge("haoma_pool_size", "How many connections the pool may have", ["pool"])
IN_USE = Gauge("haoma_pool_in_use", "Connections of the pool that are in use", ["pool"])
WAITING = Gauge("haoma_pool_waiting", "Callers that wait for a connection of the pool", ["pool"])


class Slots(asyncio.Semaphore):
    """A semaphore that knows how many of its slots are in use, and how many callers wait for one."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size
        self.in_use = 0
        self.waiting = 0

    async def acquire(self) -> Literal[True]:
        """Take a slot. Waits while all are in use."""
        self.waiting += 1
        try:
            await super().acquire()
        finally:
            self.waiting -= 1
        self.in_use += 1
        return True

    def release(self) -> None:
        """Return a slot."""
        self.in_use -= 1
        super().release()


@contextmanager
def showing_pool(name: str, size: int, in_use: Callable[[], int], waiting: Callable[[], int]) -> Iterator[None]:
    """Show a pool in the gauges until the block ends."""
    SIZE.labels(name).set(size)
    IN_USE.labels(name).set_function(in_use)
    WAITING.labels(name).set_function(waiting)
    try:
        yield
    finally:
        for gauge in (SIZE, IN_USE, WAITING):
            gauge.remove(name)


@contextmanager
def showing_slots(name: str, slots: Slots) -> Iterator[None]:
    """Show a pool whose connections are bounded by ``slots``."""
    with showing_pool(name, slots.size, lambda: slots.in_use, lambda: slots.waiting):
        yield
