"""Where hashes are made: slots for callers, shared fairly, and the threads that hash for those who have one."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from auth_service.passwords.fair_queue import Path
from auth_service.passwords.hashing_slots import (
    JOBS,
    MAX_TOGETHER,
    MAX_WAIT_SECONDS,
    SLOTS_FOR_NEWCOMERS,
    HashingSlot,
    HashingSlots,
    QueueLimit,
    Shedding,
)
from auth_service.passwords.hashing_threads import HashingThreads

P = ParamSpec("P")
T = TypeVar("T")


class HashingPool:
    """Runs hashes outside the event loop. ``queue`` is the most callers that may ever wait for a slot.

    A caller has a slot from before it reads the database, so that shedding load costs little. There are more slots than
    threads, so those with a slot take turns at the threads once more. ``max_together`` results are reported together at
    most: 1 where the moment of a result matters.
    """

    def __init__(
        self,
        threads: int,
        queue: int,
        *,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
        max_together: int = MAX_TOGETHER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limit = QueueLimit(threads, queue, max_together)
        self._shedding = Shedding()
        self._slots = HashingSlots(self._shedding, limit, for_newcomers=SLOTS_FOR_NEWCOMERS)
        self._threads = HashingThreads(threads, limit, clock)
        self._max_wait_seconds = max_wait_seconds

    @asynccontextmanager
    async def slot(self, share: Path) -> AsyncIterator[HashingSlot]:
        """A slot for a block. Raises ``ServiceError(UNAVAILABLE)`` when the queue is full, and after too long."""
        slot = HashingSlot(share, asyncio.get_running_loop().time() + self._max_wait_seconds)
        with JOBS.track_inprogress():
            async with self._slots.take(slot):
                yield slot

    async def run(self, slot: HashingSlot, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job`` in a thread. Raises ``ServiceError(UNAVAILABLE)`` when the slot ends before it is done.

        A job whose caller has gone before it begins never runs. A job of a block with one slot, while others have
        several, is urgent: callers beside a flood do not wait for the group in which its hashes are reported.
        """
        is_urgent = self._slots.is_alone_beside_a_crowd(slot.share)
        try:
            async with asyncio.timeout_at(slot.ends_at):
                return await self._threads.run(slot, partial(job, *args, **kwargs), is_urgent=is_urgent)
        except TimeoutError as error:
            raise self._shedding.refusal("slow") from error

    def close(self) -> None:
        """Drop the jobs that wait, and let the threads end."""
        self._threads.close()
