"""The hashing threads: one per core, at a lower priority than the event loop, behind a short queue that sheds load."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import structlog
from prometheus_client import Counter, Gauge

from shared.errors import unavailable

MAX_WAIT_SECONDS = 3.0
"""After this wait a job is shed: the gateway gives up on the request soon after."""
QUEUE_SECONDS = 1.5
"""How long a new job may expect to wait: half of the longest wait, in case the machine slows down."""
FIRST_JOB_SECONDS = 0.05
WEIGHT = 0.1
"""The weight of one job in the moving average."""
RETRY_AFTER = 3
NICENESS_STEP = 3
"""Added to the event loop's niceness, which gives a hashing thread half its weight (docs/decisions/0031)."""
MAX_NICENESS = 19

JOBS = Gauge("haoma_hash_jobs", "Password hashes waiting or running")
SHED_JOBS = Counter("haoma_hash_shed_total", "Password hashes refused: full queue, or waited too long", ["reason"])

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()


class QueueLimit:
    """How many jobs may wait: those that the threads begin in time, as fast as recent jobs were, and at most ``queue``.

    A longer queue would serve no one just above capacity: every job would wait until its caller has gone.
    """

    def __init__(self, threads: int, queue: int) -> None:
        self._threads = threads
        self._queue = queue
        self._job_seconds = FIRST_JOB_SECONDS

    def record(self, seconds: float) -> None:
        """Take note of how long a job ran."""
        self._job_seconds += WEIGHT * (min(seconds, MAX_WAIT_SECONDS) - self._job_seconds)

    @property
    def jobs(self) -> int:
        """The jobs that may wait or run. Each thread always runs one."""
        return self._threads + min(self._queue, int(QUEUE_SECONDS * self._threads / self._job_seconds))


class HashingPool:
    """Runs hashes outside the event loop. ``queue`` is the most jobs that may ever wait; each thread runs one more."""

    def __init__(self, threads: int, queue: int, *, max_wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        self._threads = ThreadPoolExecutor(threads, "hashing", initializer=_lower_priority)
        self._limit = QueueLimit(threads, queue)
        self._max_wait_seconds = max_wait_seconds
        self._jobs = 0

    def require_room(self) -> None:
        """Raises ``ServiceError(UNAVAILABLE)`` when the queue is full."""
        if self._jobs >= self._limit.jobs:
            SHED_JOBS.labels("full").inc()
            log.warning("hash.shed", reason="full")
            raise unavailable(RETRY_AFTER)

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job`` in a thread. Raises ``ServiceError(UNAVAILABLE)`` for a full queue and after too long a wait.

        A job whose caller has gone leaves the queue and never runs.
        """
        self.require_room()
        self._add_jobs(+1)
        future = self._threads.submit(self._measured, partial(job, *args, **kwargs))
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            SHED_JOBS.labels("slow").inc()
            log.warning("hash.shed", reason="slow")
            raise unavailable(RETRY_AFTER) from error
        finally:
            self._add_jobs(-1)

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

    def _add_jobs(self, count: int) -> None:
        self._jobs += count
        JOBS.inc(count)


def _lower_priority() -> None:
    """Let the event loop go first. On Linux a priority belongs to a thread; elsewhere nothing changes."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = min(os.getpriority(os.PRIO_PROCESS, thread) + NICENESS_STEP, MAX_NICENESS)
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
