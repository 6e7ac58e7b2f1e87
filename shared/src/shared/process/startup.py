"""Reaching a server at start: retried for a minute, then reported by name."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import structlog

STARTUP_TIMEOUT_SECONDS = 60.0
log = structlog.get_logger()
T = TypeVar("T")


class UnreachableError(Exception):
    """A server this process cannot do without did not answer in time."""


async def wait_for_server(
    what: str, variable: str, url: str, connect: Callable[[], Awaitable[T]], *, on: tuple[type[Exception], ...]
) -> T:
    """Call ``connect`` until it succeeds. Raises ``UnreachableError`` after 60 s, naming server and variable.

    ``on`` are the failures that may pass: refused, timed out, still starting. Any other is a bug and is raised.
    """
    started = time.monotonic()
    delay = 0.1
    where = _address(url)
    while True:
        try:
            async with asyncio.timeout(10):
                return await connect()
        except on as error:
            waited = time.monotonic() - started
            if waited + delay > STARTUP_TIMEOUT_SECONDS:
                raise UnreachableError(
                    f"cannot reach {what} at {where} after {waited:.0f} s ({_reason(error)}): "
                    f"start it, or set {variable}"
                ) from error
            log.warning("server.awaited", server=what, where=where, error=type(error).__name__)
        await asyncio.sleep(delay)
        delay = min(delay * 2, 2.0)


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or 'its socket'}:{parts.port or 'default port'}"


def _reason(error: Exception) -> str:
    """The kind of failure; its text only where it is our own: a driver's may quote the URL with its password."""
    return str(error) if type(error).__module__.startswith("shared.") else type(error).__name__
