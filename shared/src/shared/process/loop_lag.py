"""The lag of the event loop: how late a timer fires, because other work had the thread or the CPU was busy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Histogram

from shared.background import running, until_tick

INTERVAL_SECONDS = 1.0
LAG = Histogram(
    "haoma_event_loop_lag_seconds",
    "How much later than due a timer of the event loop fires",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)


@asynccontextmanager
async def measuring_loop_lag() -> AsyncIterator[None]:
    """Measure until the block ends, once a second."""
    async with running(_measure(), name="loop-lag"):
        yield


async def _measure() -> None:
    loop = asyncio.get_running_loop()
    while True:
        pause = until_tick(INTERVAL_SECONDS)
        due = loop.time() + pause
        await asyncio.sleep(pause)
        LAG.observe(max(0.0, loop.time() - due))
