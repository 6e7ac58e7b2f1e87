"""The hashing threads: their priority, what they report together, and how long the queue before them may be."""

import asyncio
import heapq
import os
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.hashing_slots import (
    MAX_TOGETHER,
    MAX_WAIT_SECONDS,
    RETRY_AFTER,
    SLOTS_BESIDE_THREADS,
    TOGETHER_SECONDS,
    HashingSlot,
    QueueLimit,
)
from auth_service.passwords.hashing_threads import NICENESS_STEP, HashingThreads
from shared.errors import ErrorCode, ServiceError

THREADS, SECONDS = 2, 120
SHARE = ("site", "network", 1)


class FixedLimit(QueueLimit):
    """A queue that is as long as its setting, however slow the jobs are."""

    waiting = 256


def served_per_second(limit: QueueLimit, offered: float, job_seconds: Callable[[float], float]) -> float:
    """Simulate callers who arrive at an even rate and leave after the longest wait. Returns how many are served."""
    threads, jobs, served = [0.0] * THREADS, list[float](), 0
    for number in range(int(offered * SECONDS)):
        now = number / offered
        while jobs and jobs[0] <= now:
            heapq.heappop(jobs)
        if len(jobs) >= THREADS + limit.waiting:
            continue
        start, leaves = max(now, threads[0]), now + MAX_WAIT_SECONDS
        end = leaves
        if start < leaves:  # otherwise it never runs
            end = start + job_seconds(start)
            heapq.heapreplace(threads, end)
            limit.record(end - start)
            served += end <= leaves
        heapq.heappush(jobs, min(end, leaves))
    return served / SECONDS


def steady(_: float) -> float:
    return 0.05


def slowing(now: float) -> float:
    """A machine that is half as fast for every other ten seconds."""
    return 0.05 if now % 20 < 10 else 0.1


@pytest.mark.parametrize(("job_seconds", "capacity"), [(steady, 40), (slowing, 30)])
@pytest.mark.parametrize("load", [1.1, 1.5, 2.5, 10.0])
def test_above_capacity_as_many_are_served_as_at_the_peak(
    job_seconds: Callable[[float], float], capacity: int, load: float
) -> None:
    assert served_per_second(QueueLimit(THREADS, 256), capacity * load, job_seconds) > 0.9 * capacity


def test_below_capacity_every_caller_is_served() -> None:
    assert served_per_second(QueueLimit(THREADS, 256), 39, steady) == pytest.approx(39, rel=0.01)


def test_a_queue_longer_than_the_wait_serves_no_one_just_above_capacity() -> None:
    assert served_per_second(FixedLimit(THREADS, 256), 60, steady) < 10


def test_the_setting_limits_a_queue_of_fast_jobs_and_a_slow_job_leaves_the_threads_running() -> None:
    limit = QueueLimit(THREADS, 4)
    assert limit.waiting == 4
    for _ in range(100):
        limit.record(60.0)
    assert 0 <= limit.waiting <= 1


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Jobs wait for it. It opens at the end of each test, so that no thread is left waiting."""
    gate = threading.Event()
    yield gate
    gate.set()


async def hash_in_slot(pool: HashingPool, job: Callable[..., object], *arguments: object) -> object:
    async with pool.slot(SHARE) as slot:
        return await pool.run(slot, job, *arguments)


async def test_a_full_queue_sheds_and_says_when_to_retry(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=2)
    waiting = [asyncio.create_task(hash_in_slot(pool, gate.wait)) for _ in range(QueueLimit(1, 2).slots + 2)]
    await asyncio.sleep(0)

    with pytest.raises(ServiceError) as refusal:
        await hash_in_slot(pool, gate.wait)

    assert (refusal.value.code, refusal.value.retry_after) == (ErrorCode.UNAVAILABLE, RETRY_AFTER)
    gate.set()
    assert await asyncio.gather(*waiting) == [True] * len(waiting)
    pool.close()


async def test_finished_jobs_leave_room_for_new_ones(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=1)
    gate.set()

    for _ in range(5):
        assert await hash_in_slot(pool, gate.wait)
    pool.close()


async def test_a_job_whose_slot_ends_first_is_shed_and_never_runs(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=8)
    finished: list[str] = []
    running = asyncio.create_task(hash_in_slot(pool, gate.wait))
    await asyncio.sleep(0)

    with pytest.raises(ServiceError) as refusal:
        await pool.run(HashingSlot(SHARE, asyncio.get_running_loop().time() + 0.05), finished.append, "late")

    assert (refusal.value.code, refusal.value.retry_after) == (ErrorCode.UNAVAILABLE, RETRY_AFTER)
    gate.set()
    await running
    pool.close()
    assert finished == []


async def test_of_those_with_a_slot_a_new_network_hashes_before_others_with_a_backlog(gate: threading.Event) -> None:
    pool, begun = HashingPool(threads=1, queue=8), threading.Event()
    hashed: list[str] = []

    async def hash_for(network: str, job: Callable[..., object], *arguments: object) -> None:
        async with pool.slot((network, network, 1)) as slot:
            await pool.run(slot, job, *arguments)

    def begin() -> None:
        begun.set()
        gate.wait()

    first = asyncio.create_task(hash_for("flood", begin))
    await asyncio.to_thread(begun.wait)
    second, third = (asyncio.create_task(hash_for("flood", hashed.append, "flood")) for _ in range(2))
    await asyncio.sleep(0)
    other = asyncio.create_task(hash_for("other", hashed.append, "other"))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, second, third, other)
    pool.close()

    assert hashed == ["other", "flood", "flood"]


class Together(QueueLimit):
    """A limit that lets a thread report four results together, however slow the jobs are."""

    together = 4


class Clock:
    """A clock that stands still unless a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def one_thread(clock: Clock) -> Iterator[HashingThreads]:
    """A thread that reports four results together."""
    threads = HashingThreads(1, Together(1, 8), clock)
    yield threads
    threads.close()


async def in_use(threads: HashingThreads, gate: threading.Event) -> "asyncio.Task[bool]":
    """Keep the thread busy until the gate opens: its result is reported alone."""
    begun = threading.Event()

    def wait() -> bool:
        begun.set()
        return gate.wait()

    task = asyncio.create_task(threads.run(HashingSlot(SHARE, float("inf")), wait, is_urgent=True))
    await asyncio.to_thread(begun.wait)
    return task


class Gated:
    """A job that begins, and waits until it is let go on."""

    def __init__(self) -> None:
        self._begun, self._gate = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self._begun.set()
        self._gate.wait()

    async def has_begun(self) -> None:
        """Wait until a thread runs it, and until the event loop has told callers what was reported before."""
        await asyncio.to_thread(self._begun.wait)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def go_on(self) -> None:
        self._gate.set()


def start(
    threads: HashingThreads, job: Callable[[], object], site: str = "flood", *, is_urgent: bool = False
) -> "asyncio.Task[object]":
    return asyncio.create_task(threads.run(HashingSlot((site, site, 1), float("inf")), job, is_urgent=is_urgent))


async def test_while_many_wait_results_are_reported_in_fours(one_thread: HashingThreads) -> None:
    gated = {0: Gated(), 3: Gated(), 4: Gated(), 8: Gated()}
    jobs = [start(one_thread, gated.get(number, int)) for number in range(9)]
    reported = []
    for job in gated.values():
        await job.has_begun()
        reported.append(sum(each.done() for each in jobs))
        job.go_on()
    await asyncio.gather(*jobs)

    assert reported == [0, 0, 4, 8]


async def test_a_result_waits_for_no_others_unless_enough_wait(one_thread: HashingThreads) -> None:
    first, second, third = Gated(), Gated(), Gated()
    jobs = [start(one_thread, job) for job in (first, second, third)]
    reported = []
    for job in (first, second, third):
        await job.has_begun()
        reported.append(sum(each.done() for each in jobs))
        job.go_on()
    await asyncio.gather(*jobs)

    assert reported == [0, 1, 2]


async def test_results_wait_for_no_slow_job_of_others(one_thread: HashingThreads, clock: Clock) -> None:
    first, slow, third = Gated(), Gated(), Gated()
    jobs = [start(one_thread, job) for job in (first, slow, third, int, int)]
    await first.has_begun()
    first.go_on()
    await slow.has_begun()
    clock.now += TOGETHER_SECONDS
    slow.go_on()
    await third.has_begun()

    assert [job.done() for job in jobs] == [True, True, False, False, False]
    third.go_on()
    await asyncio.gather(*jobs)


async def test_an_urgent_result_is_reported_at_once_with_those_before_it(one_thread: HashingThreads) -> None:
    first, after_urgent = Gated(), Gated()
    jobs = [start(one_thread, first)]
    await first.has_begun()
    jobs += [start(one_thread, job) for job in (after_urgent, int, int, int)]
    urgent = start(one_thread, int, "other", is_urgent=True)
    await asyncio.sleep(0)
    first.go_on()
    await after_urgent.has_begun()

    assert [jobs[0].done(), urgent.done()] == [True, True]
    after_urgent.go_on()
    await asyncio.gather(urgent, *jobs)


async def test_callers_who_have_gone_hold_no_result_back(one_thread: HashingThreads) -> None:
    first = Gated()
    stays, *gone = [start(one_thread, job) for job in (first, int, int, int)]
    await first.has_begun()
    for caller in gone:
        caller.cancel()
    await asyncio.wait(gone)
    first.go_on()
    await stays

    assert [caller.cancelled() for caller in gone] == [True] * 3


async def test_threads_that_are_closed_report_what_has_run_and_end(one_thread: HashingThreads) -> None:
    first, second = Gated(), Gated()
    jobs = [start(one_thread, job) for job in (first, second, int, int)]
    await first.has_begun()
    first.go_on()
    await second.has_begun()
    closing = asyncio.create_task(asyncio.to_thread(one_thread.close))
    while not one_thread.is_closed:
        await asyncio.sleep(0)
    second.go_on()
    await closing
    await asyncio.wait(jobs[:2])

    assert [job.done() for job in jobs] == [True, True, False, False]
    for job in jobs[2:]:
        job.cancel()
    await asyncio.wait(jobs[2:])


def test_slow_jobs_are_reported_one_by_one_and_fast_ones_together() -> None:
    limit = QueueLimit(THREADS, 256)
    for seconds, together in ((0.01, MAX_TOGETHER), (0.06, 2), (0.3, 1)):
        for _ in range(100):
            limit.record(seconds)
        assert limit.together == together
        assert limit.slots == THREADS * together + SLOTS_BESIDE_THREADS


async def test_an_exception_of_a_job_reaches_its_caller() -> None:
    pool = HashingPool(threads=1, queue=1)

    with pytest.raises(ZeroDivisionError):
        await hash_in_slot(pool, divmod, 1, 0)
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to the whole process")
async def test_the_threads_have_a_slightly_lower_priority_than_the_event_loop() -> None:
    pool = HashingPool(threads=1, queue=1)
    loop_niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    thread_niceness = await hash_in_slot(pool, lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    assert isinstance(thread_niceness, int)
    assert loop_niceness < thread_niceness <= loop_niceness + NICENESS_STEP
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == loop_niceness
