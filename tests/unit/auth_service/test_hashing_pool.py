"""The hashing threads: their priority, and the queue that sheds load."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from auth_service.passwords.hashing_pool import NICENESS_STEP, RETRY_AFTER, HashingPool
from shared.errors import ErrorCode, ServiceError


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Jobs wait for it. It opens at the end of each test, so that no thread is left waiting."""
    gate = threading.Event()
    yield gate
    gate.set()


async def test_a_full_queue_sheds_and_says_when_to_retry(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=2)
    waiting = [asyncio.create_task(pool.run(gate.wait)) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(ServiceError) as refusal:
        await pool.run(gate.wait)

    assert (refusal.value.code, refusal.value.retry_after) == (ErrorCode.UNAVAILABLE, RETRY_AFTER)
    gate.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    pool.close()


async def test_finished_jobs_leave_room_for_new_ones(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=1)
    gate.set()

    for _ in range(5):
        assert await pool.run(gate.wait)
    pool.close()


async def test_a_job_that_waits_too_long_is_shed_and_never_runs(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=8, max_wait_seconds=0.05)
    finished = []
    running = asyncio.create_task(pool.run(gate.wait))
    await asyncio.sleep(0)

    with pytest.raises(ServiceError) as refusal:
        await pool.run(finished.append, "late")

    assert refusal.value.code is ErrorCode.UNAVAILABLE
    gate.set()
    await asyncio.gather(running, return_exceptions=True)
    pool.close()
    assert finished == []


async def test_an_exception_of_a_job_reaches_its_caller() -> None:
    pool = HashingPool(threads=1, queue=1)

    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 1, 0)
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to the whole process")
async def test_the_threads_have_a_slightly_lower_priority_than_the_event_loop() -> None:
    pool = HashingPool(threads=1, queue=1)
    loop_niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    thread_niceness = await pool.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    assert loop_niceness < thread_niceness <= loop_niceness + NICENESS_STEP
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == loop_niceness
