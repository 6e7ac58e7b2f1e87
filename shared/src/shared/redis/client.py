"""The client of a process: it waits for the server at start, and never repeats a command."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.process.host_names import HostNames
from shared.process.pools import showing_pool
from shared.process.startup import wait_for_server
from shared.redis.connections import OPEN_SECONDS, NamedConnection, NamedTlsConnection, PatientPool

CONNECT_SECONDS = 1.0
"""The limit of connecting to one address of the server, before the next is tried."""


@asynccontextmanager
async def client(url: str, *, connections: int = 32) -> AsyncIterator[Redis]:
    """Open a client as soon as the server can be reached.

    Retries are off: by default redis-py waits a minute for a silent server, and repeats a script whose answer was lost.
    """
    names = HostNames()
    pool = _pool(url, connections, names)
    opened = Redis(connection_pool=pool)
    try:
        await wait_for_server(
            "Redis",
            "REDIS_URL",
            url,
            lambda: cast("Awaitable[Any]", opened.ping()),
            on=(RedisError, OSError, TimeoutError, RuntimeError),  # RuntimeError of uvloop, after a reset
        )
        with _showing(pool):
            yield opened
    finally:
        await opened.aclose()
        await pool.disconnect()
        await names.close()


def _showing(pool: PatientPool) -> AbstractContextManager[None]:
    """Show the pool in the metrics. redis-py counts only for OpenTelemetry, so this reads its own fields."""
    in_use, condition = pool._in_use_connections, pool._condition  # noqa: SLF001  as above
    return showing_pool(
        "redis",
        pool.max_connections,
        lambda: len(in_use),
        lambda: len(condition._waiters),  # noqa: SLF001  as above
    )


def _pool(url: str, connections: int, names: HostNames) -> PatientPool:
    options: dict[str, Any] = dict(parse_url(url))
    kind = options.pop("connection_class", None)
    if kind is not UnixDomainSocketConnection:
        options["names"] = names
        kind = NamedTlsConnection if kind is SSLConnection else NamedConnection
    limits = {"socket_timeout": OPEN_SECONDS, "socket_connect_timeout": CONNECT_SECONDS}
    return PatientPool(
        **(limits | options), connection_class=kind, max_connections=connections, retry=Retry(NoBackoff(), 0)
    )
