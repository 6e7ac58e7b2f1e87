"""Lua scripts, each called at most once and within a deadline."""

import asyncio
import contextlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import MasterDownError, NoScriptError, ReadOnlyError

from shared.deadline import Deadline
from shared.errors import unavailable
from shared.redis.clients import AnyRedis

DEADLINE_SECONDS = 0.3
DISCONNECT_SECONDS = 0.15
_DEMOTED = (ReadOnlyError, MasterDownError)
log = structlog.get_logger()


class Script:
    """A Lua script from a package's ``.lua`` file, called by its hash.

    Its keys have one hash tag, ``{…}``, so that one node of a Cluster has them. It begins with ``#!lua``, so a server
    that is no longer the master refuses all of it: otherwise a replica would run it up to its first write.
    """

    def __init__(self, redis: AnyRedis, package: str, name: str) -> None:
        self._redis = redis
        self.text = files(package).joinpath(name).read_text()
        self._digest = ""

    async def __call__(self, keys: Sequence[str], arguments: Sequence[str | int | float | bytes]) -> Any:
        """Run the script at most once. Raises ``ServiceError(UNAVAILABLE)`` if Redis does not answer."""
        try:
            async with Deadline(DEADLINE_SECONDS):
                return await self._run(keys, arguments)
        except Exception as error:  # during a failover redis-py also raises errors that are not RedisError
            log.warning("redis.unavailable", error=type(error).__name__)
            if isinstance(error, _DEMOTED):
                await self._reconnect()
            raise unavailable() from error

    async def _reconnect(self) -> None:
        """Drop the idle connections: after a failover the name of the server leads to another one."""
        if not isinstance(self._redis, Redis):
            return  # the client of a Cluster follows its masters by itself
        with contextlib.suppress(Exception):
            async with asyncio.timeout(DISCONNECT_SECONDS):
                await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def _run(self, keys: Sequence[str], arguments: Sequence[str | int | float | bytes]) -> Any:
        if not self._digest:
            self._digest = await self._redis.script_load(self.text)
        try:
            return await self._redis.evalsha(self._digest, len(keys), *keys, *arguments)
        except NoScriptError:  # the server was restarted or flushed, or is a new master, and the script has not run
            self._digest = await self._redis.script_load(self.text)
            return await self._redis.evalsha(self._digest, len(keys), *keys, *arguments)
