"""``make cluster-check``: kills the leader of each cluster under load, and counts what was lost.

It starts three RabbitMQ nodes, a Redis Cluster of three masters with a replica each, a PostgreSQL with a synchronous
standby, and the whole system on them, on 127.0.0.1. Each leader is killed ``ROUNDS`` times, and the killed server
rejoins. It prints how long each failover took and what is missing of all that was acknowledged. Exits with 1 if one
took longer than allowed, or if anything is missing.
"""

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

from clusters.failovers import Failover, Leader, fail_over, postgres_primary, rabbitmq_leader, redis_master
from clusters.load import Load
from clusters.losses import Loss, losses, receiving
from clusters.operations import Operations
from clusters.report import is_kept, line, tables
from stack import keys
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App
from support.servers.postgres_pair import PostgresPair
from support.servers.rabbitmq_nodes import RabbitCluster
from support.servers.redis_nodes import RedisCluster

from shared import redis
from shared.process import logs
from shared.redis import Script

ENVIRON = {"ENVIRONMENT": "development", "CALLER_LIMITS": "on", "TRUSTED_PROXIES": "127.0.0.0/8", "LOG_LEVEL": "info"}
"""Each request comes from another address through a trusted proxy, so that limits on callers are charged everywhere."""


@dataclass(frozen=True)
class Clusters:
    """The servers of a stack, each in several places."""

    rabbitmq: RabbitCluster
    redis: RedisCluster
    postgres: PostgresPair

    @classmethod
    def put_into(cls, stack: Stack) -> "Clusters":
        """Clusters in the places of the servers of a stack, which starts and stops them as its own."""
        passwords = keys.load_or_create(stack.folder.path / "secrets.env")
        made = cls(*(kind(stack.folder, passwords) for kind in (RabbitCluster, RedisCluster, PostgresPair)))
        stack.servers.rabbitmq, stack.servers.redis, stack.servers.postgres = made.rabbitmq, made.redis, made.postgres
        return made

    def leaders(self, load: Operations) -> tuple[Leader, ...]:
        """What is killed, in this order."""
        return (
            redis_master(self.redis, load),
            rabbitmq_leader(self.rabbitmq, load),
            postgres_primary(self.postgres, load),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5.0, help="users who register in a second (default: 5)")
    parser.add_argument("--rounds", type=int, default=os.environ.get("ROUNDS") or "1", help="default: ROUNDS, or 1")
    options = parser.parse_args()
    accept_interrupts()
    logs.configure("cluster-check", "error", to=sys.stderr)
    with Stack.private(environ=ENVIRON, notify=say) as stack:
        clusters = Clusters.put_into(stack)
        stack.start()
        failovers, lost = asyncio.run(check(stack, clusters, options.rate, options.rounds))
    print(tables(failovers, lost))
    return 0 if is_kept(failovers, lost) else 1


async def check(stack: Stack, clusters: Clusters, rate: float, rounds: int) -> tuple[list[Failover], list[Loss]]:
    """Run the load over all failovers, and count the losses when they have finished."""
    users: set[str] = set()
    async with AsyncExitStack() as opened:
        app = await opened.enter_async_context(App.connect(stack.url("gateway"), stack.url("sms-service"), spread=True))
        client = await opened.enter_async_context(redis.client(clusters.redis.url))
        load = Load(app, Script(client, "sms_service.callers", "lua/charge.lua"), rate)
        async with receiving(users, clusters.rabbitmq.url, load), load.running():
            leaders = clusters.leaders(load.operations)
            failovers = [await _reported(leader, load.operations, rounds) for leader in leaders]
        return failovers, await losses(stack, load, users)


async def _reported(leader: Leader, load: Operations, rounds: int) -> Failover:
    failover = await fail_over(leader, load, rounds)
    say(line(failover))
    return failover


def say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
