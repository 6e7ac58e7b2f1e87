"""The hashing threads: which results they report together, and what becomes of jobs when something fails or ends."""

import asyncio
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from support.gated_jobs import GatedJob, GatedJobs

from auth_service.passwords.hashing_slots import TOGETHER_SECONDS, HashingSlot, QueueLimit
from auth_service.passwords.hashing_threads import HashingThreads

ENDLESS = float("inf")


class Together(QueueLimit):
    """A limit that lets a thread report four results together, however slow the jobs are."""

    together = 4


class Clock:
    """A clock that stands still unless a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class PanicError(BaseException):
    """As libraries in Rust raise it."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gated_jobs() -> GatedJobs:
    return GatedJobs()


@pytest.fixture
def thread(clock: Clock, gated_jobs: GatedJobs) -> Iterator[HashingThreads]:
    """A thread that reports four results together. At the end no gate keeps it."""
    with closing(HashingThreads(1, Together(1, 8), clock)) as threads:
        yield threads
        gated_jobs.close()


def start(
    threads: HashingThreads,
    job: Callable[[], object],
    site: str = "flood",
    *,
    is_urgent: bool = False,
    ends_at: float = ENDLESS,
) -> "asyncio.Task[object]":
    return asyncio.create_task(threads.run(HashingSlot((site, site, 1), ends_at), job, is_urgent=is_urgent))


def done(tasks: "list[asyncio.Task[object]]") -> list[bool]:
    return [task.done() for task in tasks]


async def four_with_the_second_running(
    threads: HashingThreads, gated_jobs: GatedJobs
) -> "tuple[list[asyncio.Task[object]], GatedJob]":
    """The callers of a group of four, of which the first has run, and the second runs until it is let go on."""
    first, second = gated_jobs.make(), gated_jobs.make()
    callers = [start(threads, job) for job in (first, second, int, int)]
    await first.has_begun()
    first.go_on()
    await second.has_begun()
    return callers, second


async def test_while_many_wait_results_are_reported_in_fours(thread: HashingThreads, gated_jobs: GatedJobs) -> None:
    gated = {number: gated_jobs.make() for number in (0, 3, 4, 8)}
    jobs = [start(thread, gated.get(number, int)) for number in range(9)]
    reported = []
    for job in gated.values():
        await job.has_begun()
        reported.append(sum(done(jobs)))
        job.go_on()
    await asyncio.gather(*jobs)

    assert reported == [0, 0, 4, 8]


async def test_a_result_waits_for_no_others_unless_enough_wait(thread: HashingThreads, gated_jobs: GatedJobs) -> None:
    gated = [gated_jobs.make() for _ in range(3)]
    jobs = [start(thread, job) for job in gated]
    reported = []
    for job in gated:
        await job.has_begun()
        reported.append(sum(done(jobs)))
        job.go_on()
    await asyncio.gather(*jobs)

    assert reported == [0, 1, 2]


async def test_after_a_slow_job_results_wait_for_no_other(
    thread: HashingThreads, gated_jobs: GatedJobs, clock: Clock
) -> None:
    first, slow, third = (gated_jobs.make() for _ in range(3))
    jobs = [start(thread, job) for job in (first, slow, third, int, int)]
    await first.has_begun()
    first.go_on()
    await slow.has_begun()
    clock.now += TOGETHER_SECONDS
    slow.go_on()
    await third.has_begun()

    assert done(jobs) == [True, True, False, False, False]


async def test_a_result_whose_slot_ends_soon_waits_for_no_other(thread: HashingThreads, gated_jobs: GatedJobs) -> None:
    first, second = gated_jobs.make(), gated_jobs.make()
    jobs = [start(thread, first, ends_at=TOGETHER_SECONDS), *(start(thread, job) for job in (second, int, int))]
    await first.has_begun()
    first.go_on()
    await second.has_begun()

    assert done(jobs) == [True, False, False, False]


async def test_an_urgent_result_is_reported_at_once_with_those_before_it(
    thread: HashingThreads, gated_jobs: GatedJobs
) -> None:
    first, after_urgent = gated_jobs.make(), gated_jobs.make()
    jobs = [start(thread, first)]
    await first.has_begun()
    jobs += [start(thread, job) for job in (after_urgent, int, int, int)]
    urgent = start(thread, int, "other", is_urgent=True)
    await asyncio.sleep(0)
    first.go_on()
    await after_urgent.has_begun()

    assert done([jobs[0], urgent]) == [True, True]


async def test_callers_who_have_gone_hold_no_result_back(thread: HashingThreads, gated_jobs: GatedJobs) -> None:
    first = gated_jobs.make()
    stays, *gone = [start(thread, job) for job in (first, int, int, int)]
    await first.has_begun()
    for caller in gone:
        caller.cancel()
    await asyncio.wait(gone)
    first.go_on()
    await stays

    assert [caller.cancelled() for caller in gone] == [True] * 3


async def test_a_caller_who_goes_while_its_job_runs_leaves_the_others_of_the_group(
    thread: HashingThreads, gated_jobs: GatedJobs
) -> None:
    jobs, second = await four_with_the_second_running(thread, gated_jobs)
    jobs[1].cancel()
    await asyncio.wait([jobs[1]])
    second.go_on()
    await asyncio.gather(jobs[0], *jobs[2:])

    assert jobs[1].cancelled()


async def test_a_job_that_panics_reaches_its_caller_and_leaves_the_thread(thread: HashingThreads) -> None:
    def panic() -> None:
        raise PanicError

    with pytest.raises(PanicError):
        await thread.run(HashingSlot(("a", "a", 1), ENDLESS), panic, is_urgent=False)

    assert await asyncio.wait_for(start(thread, int), 10) == 0


async def test_no_error_of_a_job_takes_the_results_of_its_group(thread: HashingThreads) -> None:
    def end() -> None:
        raise StopIteration

    results = await asyncio.wait_for(
        asyncio.gather(*(start(thread, job) for job in (int, end, int, int)), return_exceptions=True), 10
    )

    assert [results[0], *results[2:]] == [0, 0, 0]
    assert isinstance(results[1], RuntimeError)


async def test_a_priority_that_may_not_be_changed_stops_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.setpriority", forbidden)
    with closing(HashingThreads(1, Together(1, 8))) as threads:
        assert await asyncio.wait_for(start(threads, int), 10) == 0


class Watched:
    """A job that tells when nothing holds it any more, nor the password in it."""

    def __init__(self, forgotten: threading.Event) -> None:
        weakref.finalize(self, forgotten.set)

    def __call__(self) -> None:
        pass


async def test_a_thread_that_waits_keeps_no_password(thread: HashingThreads) -> None:
    forgotten = threading.Event()
    await start(thread, Watched(forgotten))

    assert await asyncio.to_thread(forgotten.wait, 10)


async def test_a_caller_who_goes_leaves_no_password_in_the_queue(thread: HashingThreads, gated_jobs: GatedJobs) -> None:
    first, forgotten = gated_jobs.make(), threading.Event()
    stays, goes = start(thread, first), start(thread, Watched(forgotten))
    await first.has_begun()
    goes.cancel()
    await asyncio.wait([goes])
    del goes

    assert not stays.done()
    assert await asyncio.to_thread(forgotten.wait, 10)


async def test_threads_that_are_closed_report_what_has_run_and_cancel_what_waits(
    thread: HashingThreads, gated_jobs: GatedJobs
) -> None:
    jobs, second = await four_with_the_second_running(thread, gated_jobs)

    def let_go_on() -> None:
        while not thread.is_closed:
            time.sleep(0)
        second.go_on()

    helper = threading.Thread(target=let_go_on)
    helper.start()
    thread.close()
    helper.join()
    await asyncio.wait(jobs)

    assert [job.cancelled() for job in jobs] == [False, False, True, True]
    with pytest.raises(RuntimeError, match="closed"):
        await start(thread, int)


def test_a_loop_that_is_closed_ends_no_thread(gated_jobs: GatedJobs) -> None:
    with closing(HashingThreads(1, Together(1, 8))) as threads, closing(gated_jobs):
        first = gated_jobs.make()

        async def leave() -> None:
            _abandoned = start(threads, first)
            await first.has_begun()

        asyncio.run(leave())
        gated_jobs.close()

        async def come() -> object:
            return await asyncio.wait_for(start(threads, int), 10)

        assert asyncio.run(come()) == 0
