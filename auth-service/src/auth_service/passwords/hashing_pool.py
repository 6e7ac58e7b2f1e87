"""Threads that do nothing but hash: one per core, behind the event loop, with a short queue that sheds."""

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

WAIT_SECONDS = 3.0
"""The longest a caller waits for his hash. Whoever waits longer has been given up by the gateway anyway."""
RETRY_AFTER = 3
YIELDING = 3
"""How much nicer than the event loop a hash is: half the weight. At the lowest priority log-ins starved beside other
load (docs/performance.md)."""
LEAST_PRIORITY = 19

QUEUED = Gauge("haoma_hash_jobs", "Password hashes waiting or running")
SHED = Counter("haoma_hash_shed_total", "Password hashes refused: full queue, or waited too long", ["reason"])

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()


class HashingPool:
    """Runs hashes off the event loop. ``depth`` bounds the jobs that wait; one per thread runs besides."""

    def __init__(self, threads: int, depth: int, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._threads = ThreadPoolExecutor(threads, "hashing", initializer=_step_back)
        self._most = threads + depth
        self._wait_seconds = wait_seconds
        self._jobs = 0

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do ``job`` in a thread. Raises ``ServiceError(UNAVAILABLE)`` when full, or after waiting too long.

        A job whose caller is gone is taken out of the queue: it costs nothing when its turn comes.
        """
        if self._jobs >= self._most:
            SHED.labels("full").inc()
            log.warning("hashing.shed", reason="full")
            raise unavailable(RETRY_AFTER)
        self._count(+1)
        future = self._threads.submit(job, *args, **kwargs)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            SHED.labels("slow").inc()
            log.warning("hashing.shed", reason="slow")
            raise unavailable(RETRY_AFTER) from error
        finally:
            self._count(-1)

    def close(self) -> None:
        """Drop what waits and let the threads end."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _count(self, change: int) -> None:
        self._jobs += change
        QUEUED.inc(change)


def _step_back() -> None:
    """Yield to the event loop, but not to the whole machine: on Linux a priority belongs to a thread."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        nicer = min(os.getpriority(os.PRIO_PROCESS, thread) + YIELDING, LEAST_PRIORITY)
        os.setpriority(os.PRIO_PROCESS, thread, nicer)
