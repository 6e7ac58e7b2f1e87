"""Redis (or Valkey): one client for each process with a short deadline and no retries; scripts in ``.lua`` files."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from importlib.resources import files
from typing import Any, cast

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MasterDownError, NoScriptError, ReadOnlyError, RedisError

from shared.errors import unavailable
from shared.process.pools import showing_pool
from shared.process.startup import wait_for_server

DEADLINE_SECONDS = 0.15
_DEMOTED = (ReadOnlyError, MasterDownError)
log = structlog.get_logger()


@asynccontextmanager
async def client(url: str, *, connections: int = 32) -> AsyncIterator[Redis]:
    """Open a client as soon as the server can be reached.

    Retries are off: by default redis-py waits a minute for a silent server, and repeats a script whose answer was lost.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=DEADLINE_SECONDS,
        socket_timeout=DEADLINE_SECONDS,
        socket_connect_timeout=DEADLINE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    opened = Redis(connection_pool=pool)
    try:
        await wait_for_server(
            "Redis",
            "REDIS_URL",
            url,
            lambda: cast("Awaitable[Any]", opened.ping()),
            on=(RedisError, OSError, TimeoutError, RuntimeError),  # RuntimeError of uvloop, after a reset
        )
        with _showing(pool, connections):
            yield opened
    finally:
        await opened.aclose()
        await pool.disconnect()


def _showing(pool: BlockingConnectionPool, size: int) -> AbstractContextManager[None]:
    """Show the pool in the metrics. redis-py counts only for OpenTelemetry, so this reads its own fields."""
    in_use, condition = pool._in_use_connections, pool._condition  # noqa: SLF001  as above
    return showing_pool("redis", size, lambda: len(in_use), lambda: len(condition._waiters))  # noqa: SLF001


class Script:
    """A Lua script from a package's ``.lua`` file, called by its hash."""

    def __init__(self, redis: Redis, package: str, name: str) -> None:
        self._redis = redis
        self._text = files(package).joinpath(name).read_text()
        self._digest = ""

    async def __call__(self, keys: Sequence[str], arguments: Sequence[str | int | float | bytes]) -> Any:
        """Run the script at most once. Raises ``ServiceError(UNAVAILABLE)`` if Redis does not answer."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS * 2):
                return await self._run(keys, arguments)
        except Exception as error:  # during a failover redis-py also raises errors that are not RedisError
            log.warning("redis.unavailable", error=type(error).__name__)
            if isinstance(error, _DEMOTED):
                await self._reconnect()
            raise unavailable() from error

    async def _reconnect(self) -> None:
        """Drop the idle connections: after a failover the name of the server leads to another one."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def _run(self, keys: Sequence[str], arguments: Sequence[str | int | float | bytes]) -> Any:
        if not self._digest:
            self._digest = await self._redis.script_load(self._text)
        try:
            return await self._redis.evalsha(self._digest, len(keys), *keys, *arguments)
        except NoScriptError:  # the server was restarted or flushed, and the script has not run
            self._digest = await self._redis.script_load(self._text)
            return await self._redis.evalsha(self._digest, len(keys), *keys, *arguments)
