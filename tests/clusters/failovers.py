"""The leader of each cluster is killed under load, one cluster after the other, again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from clusters.operations import Operations
from support.servers.postgres_pair import PostgresPair
from support.servers.rabbitmq_nodes import RabbitCluster
from support.servers.redis_nodes import RedisCluster

SEND_QUEUE = "sms.send"
STEADY_SECONDS = 5.0
"""How long the load runs before each kill, and after the killed server has rejoined."""

WATCHED_SECONDS = 10.0
"""How long the cluster stays without the killed server: more than the time in which all is back."""


Outage = Callable[[float, float], float]
"""How many seconds an outage took that fell between two moments."""


@dataclass(frozen=True)
class Leader:
    """What is killed, how its outages are measured, and how many seconds of them are allowed.

    ``rejoin`` starts the killed server again, and returns when the cluster is whole.
    """

    name: str
    allowed: float
    note: str
    kill: Callable[[], Awaitable[None]]
    rejoin: Callable[[], None]
    after_kill: Outage
    while_rejoining: Outage


@dataclass(frozen=True)
class Failover:
    """A row of the table, with a figure for each kill: the outage after it, and the one while the server rejoined.

    ``refused`` is the number of calls that failed in all of them.
    """

    leader: Leader
    killed: Sequence[float]
    rejoined: Sequence[float]
    refused: int

    @property
    def holds(self) -> bool:
        return max(*self.killed, *self.rejoined) <= self.leader.allowed


def redis_master(nodes: RedisCluster, load: Operations) -> Leader:
    """A master with its third of the keys: limits on these fail closed until its replica has taken over."""

    async def kill() -> None:
        await asyncio.to_thread((await asyncio.to_thread(nodes.master)).kill)

    name = "Redis: one master, of three with a replica each"
    note = "until limits on every key were charged again, and codes sent"
    return Leader(name, 5.0, note, kill, nodes.rejoin, *_outages(load, ["charge", "code"]))


def rabbitmq_leader(nodes: RabbitCluster, load: Operations) -> Leader:
    """The node that leads the queue of the worker: no call waits for RabbitMQ, but messages and events do."""

    async def kill() -> None:
        await asyncio.to_thread((await asyncio.to_thread(nodes.leader, SEND_QUEUE)).kill)

    name = f"RabbitMQ: the leader of `{SEND_QUEUE}`, of three nodes"
    note = "the longest time without a message or without an event"
    return Leader(name, 2.0, note, kill, nodes.rejoin, load.longest_silence, load.longest_silence)


def postgres_primary(pair: PostgresPair, load: Operations) -> Leader:
    """The primary. The synchronous standby is promoted at once, as an operator's tool does."""

    async def kill() -> None:
        await asyncio.to_thread(pair.primary.kill)
        await pair.promote()

    name = "PostgreSQL: the primary, with a synchronous standby"
    note = "until each call to the gateway succeeded again, with the promotion"
    return Leader(name, 2.0, note, kill, pair.rejoin, *_outages(load, ["code", "check", "register"]))


def _outages(load: Operations, kinds: Sequence[str]) -> tuple[Outage, Outage]:
    return partial(load.back_after, kinds=kinds), partial(load.outage, kinds=kinds)


async def fail_over(leader: Leader, load: Operations, rounds: int) -> Failover:
    """Kill the leader so many times, and let the killed server rejoin each time."""
    killed, rejoined, refused = [], [], 0
    for _ in range(rounds):
        await asyncio.sleep(STEADY_SECONDS)
        killed_at = time.monotonic()
        await leader.kill()
        await asyncio.sleep(WATCHED_SECONDS)
        restarted_at = time.monotonic()
        await asyncio.to_thread(leader.rejoin)
        await asyncio.sleep(STEADY_SECONDS)
        killed.append(leader.after_kill(killed_at, restarted_at))
        rejoined.append(leader.while_rejoining(restarted_at, time.monotonic()))
        refused += load.failures(killed_at, time.monotonic())
    return Failover(leader, killed, rejoined, refused)
