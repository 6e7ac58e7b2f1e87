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
    were_up: dict[str, bool] = {}
    while True:
        current = dict(checks())
        problems = await asyncio.gather(*map(_problem_of, current.values()))
        for name, problem in zip(current, problems, strict=True):
            is_up = not problem
            UP.labels(name).set(is_up)
            if were_up.get(name, is_up) is not is_up:
                log.warning("backend.changed", backend=name, up=is_up, error=problem)
            were_up[name] = is_up or name not in were_up
        await asyncio.sleep(until_tick(INTERVAL_SECONDS))


async def _problem_of(check: Check) -> str:
    """The class of the error that a check raised, or of the error behind it; empty if the backend answered."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001  every error means that the backend did not answer
        return type(error.__cause__ or error).__name__
    return ""
