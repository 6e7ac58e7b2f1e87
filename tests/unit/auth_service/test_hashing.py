"""The hashing threads: they yield to the event loop, behind a queue that sheds."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from auth_service.passwords.hashing_pool import YIELDING, HashingPool
from shared.errors import ErrorCode, ServiceError


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Closed until a test opens it; opened at the end, so that no thread is left waiting."""
    gate = threading.Event()
    yield gate
    gate.set()


async def test_a_full_queue_sheds_and_says_when_to_come_back(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, depth=2)
    waiting = [asyncio.create_task(pool.run(gate.wait)) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(ServiceError) as refusal:
        await pool.run(gate.wait)

    assert refusal.value.code is ErrorCode.UNAVAILABLE
    assert refusal.value.retry_after
    gate.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    pool.close()


async def test_there_is_room_again_after_the_work_is_done(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, depth=1)
    gate.set()

    for _ in range(5):
        assert await pool.run(gate.wait)
    pool.close()


async def test_who_waits_too_long_is_shed_and_his_job_is_never_done(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, depth=8, wait_seconds=0.05)
    done = []
    holding = asyncio.create_task(pool.run(gate.wait))
    await asyncio.sleep(0)

    with pytest.raises(ServiceError) as refusal:
        await pool.run(done.append, "late")

    assert refusal.value.code is ErrorCode.UNAVAILABLE
    gate.set()
    await asyncio.gather(holding, return_exceptions=True)
    pool.close()
    assert done == []


async def test_what_a_job_raises_reaches_its_caller() -> None:
    pool = HashingPool(threads=1, depth=1)

    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 1, 0)
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to the whole process")
async def test_the_threads_yield_to_the_event_loop_but_not_to_the_whole_machine() -> None:
    pool = HashingPool(threads=1, depth=1)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    theirs = await pool.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert own < theirs <= own + YIELDING
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
    pool.close()
