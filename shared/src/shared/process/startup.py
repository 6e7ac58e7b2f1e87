"""Waiting for a server at start: retry for a minute, then report which server is missing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import structlog

STARTUP_TIMEOUT_SECONDS = 60.0
ATTEMPT_SECONDS = 10.0
FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 2.0

log = structlog.get_logger()
T = TypeVar("T")


class UnreachableError(Exception):
    """A server that the process needs did not answer in time."""


async def wait_for_server(
    server: str, variable: str, url: str, connect: Callable[[], Awaitable[T]], *, on: tuple[type[Exception], ...]
) -> T:
    """Call ``connect`` until it succeeds. Raises ``UnreachableError`` after 60 s with the server and its variable.

    ``on`` lists the errors to retry: refused, timed out, still starting. Any other error is a bug and is raised.
    """
    started = time.monotonic()
    delay = FIRST_DELAY_SECONDS
    address = _address(url)
    while True:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                return await connect()
        except on as error:
            elapsed = time.monotonic() - started
            if elapsed + delay > STARTUP_TIMEOUT_SECONDS:
                raise UnreachableError(
                    f"cannot reach {server} at {address} after {elapsed:.0f} s ({_reason(error)}): "
                    f"start it, or set {variable}"
                ) from error
            log.warning("server.waiting", server=server, address=address, error=type(error).__name__)
        await asyncio.sleep(delay)
        delay = min(delay * 2, MAX_DELAY_SECONDS)


def _address(url: str) -> str:
    """The hosts and ports of a URL, without its user and password."""
    return urlsplit(url).netloc.rpartition("@")[2] or "its socket"


def _reason(error: Exception) -> str:
    """The error's text if the class is ours, else only its class: a driver may quote the URL with its password."""
    return str(error) if type(error).__module__.startswith("shared.") else type(error).__name__
