"""``make cluster-check``: kills the leader of each cluster under load, and counts what was lost.

It starts three RabbitMQ nodes, a Redis Cluster of three masters with a replica each, a PostgreSQL with a synchronous
standby, and the whole system on them, on 127.0.0.1. It prints how long each failover took and what is missing of all that was
acknowledged. Exits with 1 if one took longer than allowed, or if anything is missing. It takes about three minutes.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from clusters.failovers import WARM_SECONDS, Failover, postgres_fails_over, rabbitmq_fails_over, redis_fails_over
from clusters.load import Load
from clusters.losses import Loss, losses, registered_users
from clusters.servers.postgres_pair import PostgresPair
from clusters.servers.rabbitmq_nodes import RabbitCluster
from clusters.servers.redis_nodes import RedisCluster
from stack import keys
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App

from shared import redis
from shared.redis import Script

ENVIRON = {"ENVIRONMENT": "development", "CALLER_LIMITS": "on", "TRUSTED_PROXIES": "127.0.0.0/8", "LOG_LEVEL": "info"}
"""Each request comes from another address through a trusted proxy, so that limits on callers are charged everywhere."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5.0, help="users who register in a second (default: 5)")
    options = parser.parse_args()
    accept_interrupts()
    with Stack.private(environ=ENVIRON, notify=say) as stack:
        passwords = keys.load_or_create(stack.folder.path / "secrets.env")
        rabbitmq = RabbitCluster(stack.folder, passwords)
        nodes = RedisCluster(stack.folder, passwords)
        pair = PostgresPair(stack.folder, passwords)
        stack.servers.rabbitmq, stack.servers.redis, stack.servers.postgres = rabbitmq, nodes, pair
        stack.start()
        failovers, lost = asyncio.run(check(stack, options.rate, rabbitmq, nodes, pair))
    print(shown(failovers, lost))
    return 0 if all(failover.holds for failover in failovers) and not any(loss.lost for loss in lost) else 1


async def check(
    stack: Stack, rate: float, rabbitmq: RabbitCluster, nodes: RedisCluster, pair: PostgresPair
) -> tuple[list[Failover], list[Loss]]:
    """Run the load over the three failovers, and count the losses when all have finished."""
    async with AsyncExitStack() as opened:
        app = await opened.enter_async_context(App.connect(stack.url("gateway"), stack.url("sms-service"), spread=True))
        client = await opened.enter_async_context(redis.client(nodes.url))
        load = Load(app, Script(client, "sms_service.callers", "lua/charge.lua"), rate)
        users = await opened.enter_async_context(registered_users(rabbitmq.url, load))
        stop = asyncio.Event()
        running = asyncio.create_task(load.run(stop))
        failovers = []
        for fail_over, servers in (
            (redis_fails_over, nodes),
            (rabbitmq_fails_over, rabbitmq),
            (postgres_fails_over, pair),
        ):
            await asyncio.sleep(WARM_SECONDS)
            failovers.append(await fail_over(load, servers))
            say(line(failovers[-1]))
        stop.set()
        await running
        return failovers, await losses(stack, load, users)


def shown(failovers: Sequence[Failover], lost: Sequence[Loss]) -> str:
    """The two tables."""
    head = "| killed under load | back after | allowed | refused calls | measured |\n| --- | ---: | ---: | ---: | --- |"
    losses_head = "| acknowledged | operations | lost |\n| --- | ---: | ---: |"
    rows = [f"| {loss.kind} | {loss.acknowledged:,} | {loss.lost:,} |" for loss in lost]
    return "\n".join([head, *map(line, failovers), "", losses_head, *rows])


def line(failover: Failover) -> str:
    seconds = f"{failover.seconds:.1f} s" if failover.holds else f"**{failover.seconds:.1f} s**"
    return f"| {failover.killed} | {seconds} | {failover.allowed:.0f} s | {failover.refused} | {failover.note} |"


def say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
