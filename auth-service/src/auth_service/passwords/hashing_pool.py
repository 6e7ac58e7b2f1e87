"""The hashing threads: one per core, at a lower priority than the event loop, for callers that have a slot."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from auth_service.passwords import hashing_memory
from auth_service.passwords.fair_queue import Path
from auth_service.passwords.hashing_slots import (
    JOBS,
    MAX_WAIT_SECONDS,
    SLOTS_BESIDE_THREADS,
    SLOTS_FOR_NEWCOMERS,
    HashingSlot,
    HashingSlots,
    QueueLimit,
    Shedding,
)

NICENESS_STEP = 3
"""Added to the event loop's niceness, which gives a hashing thread half its weight (docs/decisions/0031)."""
MAX_NICENESS = 19

P = ParamSpec("P")
T = TypeVar("T")


class HashingPool:
    """Runs hashes outside the event loop. ``queue`` is the most callers that may ever wait for a slot.

    A caller has a slot from before it reads the database, so that shedding load costs little. There are more slots than
    threads, so those with a slot take turns at the threads once more.
    """

    def __init__(self, threads: int, queue: int, *, max_wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        self._threads = ThreadPoolExecutor(threads, "hashing", initializer=_prepare_thread)
        self._limit = QueueLimit(threads, queue)
        self._shedding = Shedding()
        self._slots = HashingSlots(
            threads + SLOTS_BESIDE_THREADS, self._shedding, self._limit, for_newcomers=SLOTS_FOR_NEWCOMERS
        )
        self._free_threads = HashingSlots(threads, self._shedding)
        self._max_wait_seconds = max_wait_seconds

    @asynccontextmanager
    async def slot(self, share: Path) -> AsyncIterator[HashingSlot]:
        """A slot for a block. Raises ``ServiceError(UNAVAILABLE)`` when the queue is full, or after too long."""
        slot = HashingSlot(share, asyncio.get_running_loop().time() + self._max_wait_seconds)
        with JOBS.track_inprogress():
            async with self._slots.take(slot):
                yield slot

    async def run(self, slot: HashingSlot, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job`` in a thread. Raises ``ServiceError(UNAVAILABLE)`` when the slot ends before it has run.

        A job whose caller has gone before it begins never runs.
        """
        async with self._free_threads.take(slot):
            if slot.hashing_since is None:
                slot.hashing_since = asyncio.get_running_loop().time()
            future = self._threads.submit(self._measured, partial(job, *args, **kwargs))
            try:
                async with asyncio.timeout_at(slot.ends_at):
                    return await asyncio.wrap_future(future)
            except TimeoutError as error:
                raise self._shedding.refusal("slow") from error

    def close(self) -> None:
        """Drop the jobs that wait, and let the threads end."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _measured(self, job: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return job()
        finally:
            self._limit.record(
                time.perf_counter() - started
            )  # two threads at once may lose one value, which is harmless


def _prepare_thread() -> None:
    _lower_priority()
    hashing_memory.keep_in_large_pages()


def _lower_priority() -> None:
    """Let the event loop go first. On Linux a priority belongs to a thread; elsewhere nothing changes."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = min(os.getpriority(os.PRIO_PROCESS, thread) + NICENESS_STEP, MAX_NICENESS)
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
