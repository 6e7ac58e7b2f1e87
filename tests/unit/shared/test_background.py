"""Background tasks end with their block, and what repeats is due at ticks, which all intervals of a process share."""

import asyncio
import contextlib
import gc
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.background import next_tick, repeating, running, until_tick


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("now", [100.0, 100.2, 100.5, 100.74, 100.99, 103.1])
async def test_the_next_tick_is_a_multiple_of_the_interval_about_one_interval_away(
    seconds: float, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    tick = next_tick(seconds)
    assert tick / seconds == int(tick / seconds)
    assert 0.5 * seconds <= tick - now <= 1.5 * seconds
    assert until_tick(seconds) == pytest.approx(tick - now)


async def test_what_is_done_at_a_tick_is_done_again_one_interval_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 100.0001)
    assert next_tick(1.0) == 101.0
    assert next_tick(5.0) == 105.0


async def test_an_interval_of_nothing_does_not_wait() -> None:
    assert until_tick(0.0) <= 0


async def test_a_failure_does_not_end_what_repeats() -> None:
    calls, enough = 0, asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            enough.set()
        raise OSError("away")

    async with repeating("work", 0.01, work), asyncio.timeout(30):
        await enough.wait()


async def test_a_task_whose_cancellation_is_lost_is_cancelled_again() -> None:
    """``asyncio.wait_for`` of Python 3.11 loses one that comes together with a result."""
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.Event()

    async def work() -> None:
        waiting.set()
        await asyncio.wait_for(answer, 60)
        await asyncio.Event().wait()

    async with asyncio.timeout(30), running(work(), name="work", end_seconds=0.01):
        await waiting.wait()
        await asyncio.sleep(0)
        answer.set_result(None)


async def test_a_task_that_does_not_end_is_named_in_the_log() -> None:
    released, waiting = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                waiting.set()
                await released.wait()

    async def leave() -> None:
        async with running(work(), name="work", end_seconds=0.01):
            await waiting.wait()

    with capture_logs() as lines:
        leaving = asyncio.create_task(leave())
        async with asyncio.timeout(30):
            while not lines:
                await asyncio.sleep(0.01)
        assert not leaving.done()
        released.set()
        await leaving
    assert lines[0] == {"event": "background.still_running", "log_level": "warning", "task": "work"}


@pytest.mark.parametrize("by_cancellation", [True, False], ids=["cancelled twice", "cancelled at its end"])
async def test_a_block_that_is_cancelled_waits_for_the_end_of_its_task_all_the_same(*, by_cancellation: bool) -> None:
    ends: list[str] = []
    waiting, leaving, ending, released = (asyncio.Event() for _ in range(4))

    async def work() -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            ending.set()
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()
            await asyncio.sleep(0)
            ends.append("task")

    async def block() -> None:
        try:
            async with running(work(), name="work"):
                await leaving.wait()
        finally:
            ends.append("block")

    task = asyncio.create_task(block())
    await waiting.wait()
    if by_cancellation:
        task.cancel()
    else:
        leaving.set()
    await ending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends == ["task", "block"]


async def test_a_task_that_failed_neither_fails_its_block_nor_is_reported_by_asyncio() -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))

    async def work() -> None:
        raise OSError("away")

    async with running(work(), name="work"):
        await asyncio.sleep(0)
    gc.collect()
    assert reports == []
