"""The hashing pool: how long the queue before its threads may be, and whose results are reported together."""

import asyncio
import heapq
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing
from typing import Any

import pytest
from support.gated_jobs import GatedJobs

from auth_service.passwords.fair_queue import Path
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.hashing_slots import (
    MAX_TOGETHER,
    MAX_WAIT_SECONDS,
    RETRY_AFTER,
    SLOTS_BESIDE_THREADS,
    HashingSlot,
    QueueLimit,
)
from auth_service.passwords.hashing_threads import NICENESS_STEP
from auth_service.resources import hashing_pool
from auth_service.settings import AuthSettings
from shared.errors import ErrorCode, ServiceError

THREADS, SECONDS = 2, 120
LONG = 60.0
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


@pytest.fixture
def gated_jobs() -> Iterator[GatedJobs]:
    """Jobs that wait for a test. All of them end with it."""
    with closing(GatedJobs()) as gated_jobs:
        yield gated_jobs


async def hash_in_slot(pool: HashingPool, job: Callable[..., object], *arguments: object) -> object:
    async with pool.slot(SHARE) as slot:
        return await pool.run(slot, job, *arguments)


async def hash_for(pool: HashingPool, share: Path) -> object:
    async with pool.slot(share) as slot:
        return await pool.run(slot, int)


async def test_a_full_queue_sheds_and_says_when_to_retry(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=2, max_wait_seconds=LONG)
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
    pool = HashingPool(threads=1, queue=8, max_wait_seconds=LONG)
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


async def test_of_those_with_a_slot_a_new_network_hashes_before_others_with_a_backlog(gated_jobs: GatedJobs) -> None:
    pool, running = HashingPool(threads=1, queue=8, max_wait_seconds=LONG), gated_jobs.make()
    hashed: list[str] = []

    async def hash_for(network: str, job: Callable[..., object], *arguments: object) -> None:
        async with pool.slot((network, network, 1)) as slot:
            await pool.run(slot, job, *arguments)

    first = asyncio.create_task(hash_for("flood", running))
    await running.has_begun()
    second, third = (asyncio.create_task(hash_for("flood", hashed.append, "flood")) for _ in range(2))
    await asyncio.sleep(0)
    other = asyncio.create_task(hash_for("other", hashed.append, "other"))
    await asyncio.sleep(0)
    running.go_on()
    await asyncio.gather(first, second, third, other)
    pool.close()

    assert hashed == ["other", "flood", "flood"]


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


async def reported_before_the_next(pool: HashingPool, gated_jobs: GatedJobs, share: Path, beside: int) -> bool:
    """Whether the result of a job is reported while the next one runs, and others wait. They are ``beside`` jobs."""
    first, following = gated_jobs.make(), gated_jobs.make()
    async with AsyncExitStack() as stack:
        slots = [await stack.enter_async_context(pool.slot(("flood", "flood", n))) for n in range(beside)]
        slot = await stack.enter_async_context(pool.slot(share))
        job = asyncio.create_task(pool.run(slot, first))
        await first.has_begun()
        jobs: list[Callable[[], object]] = [following, *([int] * (beside - 1))]
        others = [asyncio.create_task(pool.run(*each)) for each in zip(slots, jobs, strict=True)]
        await asyncio.sleep(0)
        first.go_on()
        await following.has_begun()
        is_reported = job.done()
        following.go_on()
        await asyncio.gather(job, *others)
        return is_reported


@pytest.fixture
def fast_pool() -> Iterator[HashingPool]:
    """A pool with one thread, by whose clock no job takes any time."""
    pool = HashingPool(1, 8, max_wait_seconds=LONG, clock=lambda: 0.0)
    yield pool
    pool.close()


async def become_fast(pool: HashingPool) -> None:
    for _ in range(20):
        await hash_in_slot(pool, int)


async def test_a_crowd_of_one_site_has_its_results_reported_together(
    fast_pool: HashingPool, gated_jobs: GatedJobs
) -> None:
    await become_fast(fast_pool)

    assert not await reported_before_the_next(fast_pool, gated_jobs, ("flood", "flood", 9), beside=4)


async def test_a_caller_of_another_site_does_not_wait_for_the_group(
    fast_pool: HashingPool, gated_jobs: GatedJobs
) -> None:
    await become_fast(fast_pool)

    assert await reported_before_the_next(fast_pool, gated_jobs, ("other", "other", 1), beside=4)


async def test_where_refusals_are_held_no_result_waits(gated_jobs: GatedJobs) -> None:
    fields: dict[str, Any] = {"password_hash_threads": 1, "password_hash_queue": 8, "password_refusal_seconds": 0.5}
    settings = AuthSettings.model_construct(**fields)
    with closing(hashing_pool(settings)) as pool:
        await become_fast(pool)
        first, following = gated_jobs.make(), gated_jobs.make()
        jobs: list[Callable[[], object]] = [first, following, int, int, int]
        callers = [asyncio.create_task(pool.run(HashingSlot(SHARE, float("inf")), job)) for job in jobs]
        await first.has_begun()
        first.go_on()
        await following.has_begun()
        is_reported = callers[0].done()
        following.go_on()
        await asyncio.gather(*callers)

        assert is_reported


async def test_a_site_that_is_new_gets_a_slot_although_all_are_taken(fast_pool: HashingPool) -> None:
    async with AsyncExitStack() as stack:
        for number in range(QueueLimit(1, 8).slots):
            await stack.enter_async_context(fast_pool.slot(("flood", "flood", number)))

        assert await asyncio.wait_for(hash_for(fast_pool, ("new", "new", 1)), 10) == 0


async def test_a_slot_tells_when_its_first_job_began() -> None:
    pool = HashingPool(1, 8)
    async with pool.slot(SHARE) as slot:
        assert slot.hashing_since is None
        before = time.monotonic()
        ran_at = await pool.run(slot, time.monotonic)
        first = slot.hashing_since
        await pool.run(slot, int)

        assert slot.hashing_since == first
        assert first is not None
        assert before <= first <= ran_at
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to the whole process")
async def test_the_threads_have_a_slightly_lower_priority_than_the_event_loop() -> None:
    pool = HashingPool(threads=1, queue=1)
    loop_niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    thread_niceness = await hash_in_slot(pool, lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    assert isinstance(thread_niceness, int)
    assert loop_niceness < thread_niceness <= loop_niceness + NICENESS_STEP
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == loop_niceness
