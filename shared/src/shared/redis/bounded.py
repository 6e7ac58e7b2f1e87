"""redis-py's clients for Sentinels and a Cluster. Their pools cannot wait for a free connection, so calls wait."""

from typing import Any

from redis.asyncio import Redis, RedisCluster

from shared.process.pools import Slots


class BoundedRedis(Redis):
    """Makes at most as many calls at once as it has ``slots``. More of them wait."""

    slots: Slots

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """The answer of the server."""
        async with self.slots:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class BoundedCluster(RedisCluster):
    """As above."""

    slots: Slots

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """The answer of the node that has the keys."""
        async with self.slots:
            return await super().execute_command(*args, **options)
