"""The hashing threads: one per core, at a lower priority than the event loop, for callers that have a turn."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import ParamSpec, TypeVar

from auth_service.passwords.fair_queue import Path
from auth_service.passwords.hashing_turns import (
    MAX_WAIT_SECONDS,
    TURNS_BESIDE_THREADS,
    HashingTurns,
    QueueLimit,
    Turn,
    shed,
)

NICENESS_STEP = 3
"""Added to the event loop's niceness, which gives a hashing thread half its weight (docs/decisions/0031)."""
MAX_NICENESS = 19

P = ParamSpec("P")
T = TypeVar("T")


class HashingPool:
    """Runs hashes outside the event loop. ``queue`` is the most callers that may ever wait for a turn."""

    def __init__(self, threads: int, queue: int, *, max_wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        self._threads = ThreadPoolExecutor(threads, "hashing", initializer=_lower_priority)
        self._limit = QueueLimit(threads, queue)
        self._turns = HashingTurns(threads + TURNS_BESIDE_THREADS, self._limit, max_wait_seconds=max_wait_seconds)

    def turn(self, share: Path) -> AbstractAsyncContextManager[Turn]:
        """A turn for a block. Raises ``ServiceError(UNAVAILABLE)`` when the queue is full, or after too long."""
        return self._turns.take(share)

    async def run(self, turn: Turn, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job`` in a thread. Raises ``ServiceError(UNAVAILABLE)`` when the turn ends before it has run.

        A job whose caller has gone leaves the threads' queue and never runs.
        """
        future = self._threads.submit(self._measured, partial(job, *args, **kwargs))
        try:
            async with asyncio.timeout_at(turn.ends_at):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise shed("slow") from error

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


def _lower_priority() -> None:
    """Let the event loop go first. On Linux a priority belongs to a thread; elsewhere nothing changes."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = min(os.getpriority(os.PRIO_PROCESS, thread) + NICENESS_STEP, MAX_NICENESS)
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
