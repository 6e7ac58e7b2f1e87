"""One job at a time for each key: callers that come while it runs share its result."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from auth_service.user_source.source_metrics import REQUESTS
from shared.errors import unavailable

ResultT = TypeVar("ResultT")


class SingleFlight(Generic[ResultT]):
    """Runs ``max_jobs`` at once. A job runs on when its callers have gone: its result is good for the next one."""

    def __init__(self, max_jobs: int) -> None:
        self._max_jobs = max_jobs
        self._jobs: dict[bytes, asyncio.Task[ResultT]] = {}

    async def run(self, key: bytes, job: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """The result of the job that runs for this key, or of this one. Raises what it raises.

        Raises ``ServiceError(UNAVAILABLE)`` when too many run for other keys.
        """
        running = self._jobs.get(key)
        if running is None:
            if len(self._jobs) >= self._max_jobs:
                REQUESTS.labels("shed").inc()
                raise unavailable()
            running = self._jobs[key] = asyncio.ensure_future(_run(job))
            running.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Cancel the jobs that run."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _forget(self, key: bytes, done: "asyncio.Task[ResultT]") -> None:
        del self._jobs[key]
        if not done.cancelled():
            done.exception()  # its callers may have gone, and asyncio would call it lost


async def _run(job: Callable[[], Awaitable[ResultT]]) -> ResultT:
    return await job()
