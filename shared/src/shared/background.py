"""Work beside the requests: a task that lives as long as a block, once or again and again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger()


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Run ``work`` in a task for as long as the block lasts; leaving the block cancels the task and waits for it."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def repeating(
    name: str, seconds: float, work: Callable[[], Awaitable[object]], *, first_after: float = 0.0
) -> AsyncIterator[None]:
    """Call ``work`` every ``seconds`` seconds, the first time after ``first_after``, for as long as the block lasts.

    A call that fails is logged as ``background.failed``, and the next one comes at its usual time.
    """
    async with running(_repeat(name, seconds, work, first_after), name=name):
        yield


async def _repeat(name: str, seconds: float, work: Callable[[], Awaitable[object]], first_after: float) -> None:
    await asyncio.sleep(first_after)
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  a server may be unavailable; the next call makes up for this one
            log.warning("background.failed", task=name, error=type(error).__name__)
        await asyncio.sleep(seconds)
