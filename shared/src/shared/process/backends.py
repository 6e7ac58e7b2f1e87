"""The gauge ``haoma_backend_up``: whether each server or service that a process needs answers it, current every 5 s."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import structlog
from prometheus_client import Gauge

from shared.background import running, until_tick

Check = Callable[[], Awaitable[object]]
INTERVAL_SECONDS = 5.0
CHECK_SECONDS = 10.0
"""Longer than the deadlines that the checks have themselves: one that is cancelled may close the connection it uses."""
UP = Gauge("haoma_backend_up", "1 while the other server or service answers this process, else 0", ["backend"])

log = structlog.get_logger()


@asynccontextmanager
async def watching_backends(checks: Callable[[], Mapping[str, Check]]) -> AsyncIterator[None]:
    """Ask all of ``checks``, by name of the backend, until the block ends. Changes are logged.

    A backend that is away at the first question may be starting, as this process is. It is logged if it is still away
    at the second.
    """
    async with running(_watch(checks), name="backends"):
        yield


async def _watch(checks: Callable[[], Mapping[str, Check]]) -> None:
    before: dict[str, bool] = {}
    while True:
        current = dict(checks())
        states = await asyncio.gather(*(answers(check) for check in current.values()))
        for name, is_up in zip(current, states, strict=True):
            UP.labels(name).set(is_up)
            if before.get(name, is_up) is not is_up:
                log.warning("backend.changed", backend=name, up=is_up)
            before[name] = is_up if name in before else True
        await asyncio.sleep(until_tick(INTERVAL_SECONDS))


async def answers(check: Check) -> bool:
    """Whether the check succeeds."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001  every error means that the backend did not answer
        log.debug("backend.check_failed", error=type(error).__name__)
        return False
    return True
