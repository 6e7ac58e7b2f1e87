"""Background tasks that live as long as a block: one that runs, or one that repeats."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

END_SECONDS = 2.0
"""How long a cancelled task may take to end before it is cancelled again."""

log = structlog.get_logger()


@asynccontextmanager
async def running(
    work: Coroutine[Any, Any, None], *, name: str, end_seconds: float = END_SECONDS
) -> AsyncIterator[None]:
    """Run ``work`` in a task. The end of the block cancels the task and waits until it has ended.

    It cancels again every ``end_seconds``: a cancellation that comes together with a result is lost in
    ``asyncio.wait_for`` of Python 3.11, with which libraries wait, and the task would go on for ever. So what the task
    does at its end must take less.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        await _end(task, end_seconds)


async def _end(task: asyncio.Task[None], seconds: float) -> None:
    """Cancel a task and wait until it has ended, also if the caller is cancelled meanwhile. Its errors are dropped."""
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        task.cancel()
        try:
            ended, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError as error:
            cancellation = error
        else:
            if not ended:
                log.warning("background.still_running", task=task.get_name())
    if not task.cancelled():
        task.exception()  # asyncio would report one that nothing has looked at
    if cancellation is not None:
        raise cancellation


@asynccontextmanager
async def repeating(
    name: str, seconds: float, work: Callable[[], Awaitable[object]], *, first_after: float = 0.0
) -> AsyncIterator[None]:
    """Call ``work`` every ``seconds`` seconds until the block ends, the first time after ``first_after`` seconds.

    All calls but the first are made at ticks. A failure is logged as ``background.failed`` and does not delay the next
    call.
    """
    async with running(_repeat(name, seconds, work, first_after), name=name):
        yield


async def _repeat(name: str, seconds: float, work: Callable[[], Awaitable[object]], first_after: float) -> None:
    await asyncio.sleep(first_after)
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  a server may be unavailable; the next call tries again
            log.warning("background.failed", task=name, error=type(error).__name__)
        await asyncio.sleep(until_tick(seconds))


def until_tick(seconds: float) -> float:
    """The seconds until ``next_tick``."""
    return next_tick(seconds) - asyncio.get_running_loop().time()


def next_tick(seconds: float) -> float:
    """The next tick of an interval, by the loop's clock: ``seconds`` from now, or up to half as much more or less.

    Ticks are the multiples of the interval. So what repeats every second, or every few seconds, is due at the same
    moments, and wakes an idle process once and not one after the other.
    """
    now = asyncio.get_running_loop().time()
    return (math.floor(now / seconds + 0.5) + 1) * seconds if seconds > 0 else now
