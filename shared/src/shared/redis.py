"""Redis (or Valkey): one client per process, a short deadline, no retry, scripts from ``.lua`` files."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, cast

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from shared.errors import unavailable
from shared.process.startup import wait_for_server

DEADLINE_SECONDS = 0.15
log = structlog.get_logger()


@asynccontextmanager
async def client(url: str, *, connections: int = 32) -> AsyncIterator[Redis]:
    """A client once the server can be reached.

    Retries are off: redis-py's default would wait a minute for a silent server, and would run a script
    again whose answer was lost.
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
            on=(RedisError, OSError, TimeoutError),
        )
        yield opened
    finally:
        await opened.aclose()
        await pool.disconnect()


class Script:
    """A Lua script that ships inside a package, run by its hash."""

    def __init__(self, redis: Redis, package: str, name: str) -> None:
        self._redis = redis
        self._text = files(package).joinpath(name).read_text()
        self._digest = ""

    async def __call__(self, keys: Sequence[str], arguments: Sequence[str | int | float | bytes]) -> Any:
        """Run it once. Raises ``ServiceError(UNAVAILABLE)`` when Redis is away; never runs it a second time."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS * 2):
                return await self._run(keys, arguments)
        except Exception as error:  # redis-py raises more than its own family when a server fails over
            log.warning("redis.unavailable", error=type(error).__name__)
            raise unavailable() from error

    async def _run(self, keys: Sequence[str], arguments: Sequence[str | int | float | bytes]) -> Any:
        if not self._digest:
            self._digest = await self._redis.script_load(self._text)
        try:
            return await self._redis.evalsha(self._digest, len(keys), *keys, *arguments)
        except NoScriptError:  # the server was restarted or flushed: nothing has run
            self._digest = await self._redis.script_load(self._text)
            return await self._redis.evalsha(self._digest, len(keys), *keys, *arguments)
