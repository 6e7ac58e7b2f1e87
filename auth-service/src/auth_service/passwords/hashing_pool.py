"""The hashing threads: one per core, at a lower priority than the event loop, behind a short queue that sheds load."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import structlog
from prometheus_client import Counter, Gauge

from shared.errors import unavailable

MAX_WAIT_SECONDS = 3.0
"""After this wait a job is shed: the gateway gives up on the request soon after."""
RETRY_AFTER = 3
NICENESS_STEP = 3
"""Added to the event loop's niceness, which gives a hashing thread half its weight (docs/decisions/0031)."""
MAX_NICENESS = 19

JOBS = Gauge("haoma_hash_jobs", "Password hashes waiting or running")
SHED_JOBS = Counter("haoma_hash_shed_total", "Password hashes refused: full queue, or waited too long", ["reason"])

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()


class HashingPool:
    """Runs hashes outside the event loop. ``queue`` limits the jobs that wait; each thread runs one more."""

    def __init__(self, threads: int, queue: int, *, max_wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        self._threads = ThreadPoolExecutor(threads, "hashing", initializer=_lower_priority)
        self._max_jobs = threads + queue
        self._max_wait_seconds = max_wait_seconds
        self._jobs = 0

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job`` in a thread. Raises ``ServiceError(UNAVAILABLE)`` for a full queue and after too long a wait.

        A job whose caller has gone leaves the queue and never runs.
        """
        if self._jobs >= self._max_jobs:
            SHED_JOBS.labels("full").inc()
            log.warning("hash.shed", reason="full")
            raise unavailable(RETRY_AFTER)
        self._add_jobs(+1)
        future = self._threads.submit(job, *args, **kwargs)
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

    def _add_jobs(self, count: int) -> None:
        self._jobs += count
        JOBS.inc(count)


def _lower_priority() -> None:
    """Let the event loop go first. On Linux a priority belongs to a thread; elsewhere nothing changes."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = min(os.getpriority(os.PRIO_PROCESS, thread) + NICENESS_STEP, MAX_NICENESS)
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
