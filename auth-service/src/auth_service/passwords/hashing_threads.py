"""The hashing threads: one per core, at a lower priority than the event loop. Each takes the next job itself.

While many wait, what several jobs returned is reported together. What runs after a hash on the same core finds cold
caches, so the fewer times the event loop wakes for results, the more hashes there are.
"""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from auth_service.passwords import hashing_memory
from auth_service.passwords.fair_queue import FairQueue
from auth_service.passwords.hashing_slots import TOGETHER_SECONDS, HashingSlot, QueueLimit

NICENESS_STEP = 3
"""Added to the event loop's niceness, which gives a hashing thread half its weight (docs/decisions/0031)."""
MAX_NICENESS = 19

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job:
    """A job that waits or runs, and where its result goes. An ``urgent`` one is reported as soon as it has run.

    It holds a password, and what became of it.
    """

    slot: HashingSlot
    run: Callable[[], object] = field(repr=False)
    future: "asyncio.Future[Any]" = field(repr=False)
    is_urgent: bool
    begun_at: float = 0.0
    result: object = field(default=None, repr=False)
    error: BaseException | None = field(default=None, repr=False)

    def has_time(self, now: float) -> bool:
        """Whether its result may wait for the next job: it began lately, and its slot does not end soon."""
        return now < self.begun_at + TOGETHER_SECONDS < self.slot.ends_at

    def finish(self) -> None:
        """Tell the caller, unless it has gone. Runs in the event loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class HashingThreads:
    """Threads that run the jobs of one event loop in the order of a fair queue.

    ``limit`` says how many results are reported together. ``is_closed`` once they take no more jobs.
    """

    def __init__(self, threads: int, limit: QueueLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._waiting: FairQueue[_Job] = FairQueue()
        self._changed = threading.Condition()
        self.is_closed = False
        self._threads = [threading.Thread(target=self._work, name=f"hashing-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    async def run(self, slot: HashingSlot, job: Callable[[], T], *, is_urgent: bool) -> T:
        """Run ``job`` when it is the turn of its share, and return its result.

        If the caller goes before that, it never runs. An urgent result waits for no others. Raises ``RuntimeError``
        once the threads are closed, and ``CancelledError`` if that happens while the job waits.
        """
        waiting = _Job(slot, job, asyncio.get_running_loop().create_future(), is_urgent)
        with self._changed:
            if self.is_closed:
                raise RuntimeError("the hashing threads are closed")
            self._waiting.push(slot.share, waiting)
            self._changed.notify()
        try:
            result: T = await waiting.future
        except asyncio.CancelledError:
            with self._changed:
                self._waiting.discard(slot.share, waiting)
            raise
        return result

    def close(self) -> None:
        """Cancel the jobs that wait, and let the threads end. For the thread of the event loop."""
        with self._changed:
            self.is_closed = True
            while self._waiting.size:
                self._waiting.pop().future.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        _lower_priority()
        hashing_memory.keep_in_large_pages()
        done: list[_Job] = []
        while job := self._next(done):
            if not job.future.done():  # otherwise the caller has gone a moment ago
                self._run(job)
                done.append(job)
            del job  # a thread that waits must not keep a password

    def _run(self, job: _Job) -> None:
        job.begun_at = self._clock()
        if job.slot.hashing_since is None:
            job.slot.hashing_since = job.begun_at
        try:
            job.result = job.run()
        except StopIteration as error:  # which a future does not take
            job.error = RuntimeError("a job ended an iteration that it did not begin")
            job.error.__cause__ = error
        except BaseException as error:  # noqa: BLE001  the caller raises any error, and the thread goes on
            job.error = error
        self._limit.record(self._clock() - job.begun_at)  # two threads at once may lose one value, which is harmless

    def _next(self, done: list[_Job]) -> _Job | None:
        """The next job, or None at the end. Before, report what is ``done``, unless it may wait for others."""
        with self._changed:
            if done and not self._may_hold(done):
                _report(done)
            while not self._waiting.size and not self.is_closed:
                self._changed.wait()
            return None if self.is_closed else self._waiting.pop()

    def _may_hold(self, done: Sequence[_Job]) -> bool:
        """Whether enough jobs wait to report their results together with these, and these have time."""
        together, now = self._limit.together, self._clock()
        return (
            len(done) < together
            and len(done) + self._waiting.size >= together
            and all(job.has_time(now) for job in done)
            and not (self.is_closed or done[-1].is_urgent)
        )


def _report(done: list[_Job]) -> None:
    """Let the event loop tell the callers, and empty the list."""
    loop, jobs = done[0].future.get_loop(), tuple(done)
    done.clear()
    with contextlib.suppress(RuntimeError):  # the loop is closed, so there are no callers
        loop.call_soon_threadsafe(_finish_all, jobs)


def _finish_all(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.finish()


def _lower_priority() -> None:
    """Let the event loop go first. On Linux a priority belongs to a thread; elsewhere nothing changes."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # a system may forbid it, and hashes are the same
            niceness = min(os.getpriority(os.PRIO_PROCESS, thread) + NICENESS_STEP, MAX_NICENESS)
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
