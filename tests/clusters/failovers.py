"""The leader of each cluster is killed under load, one cluster after the other."""

import asyncio
import time
from dataclasses import dataclass

from clusters.load import Load
from clusters.servers.postgres_pair import PostgresPair
from clusters.servers.rabbitmq_nodes import RabbitCluster
from clusters.servers.redis_nodes import RedisCluster

WARM_SECONDS = 8.0
SEND_QUEUE = "sms.send"


@dataclass(frozen=True)
class Failover:
    """A row of the table: what was killed, and after how many seconds all worked again, of how many are allowed."""

    killed: str
    seconds: float
    allowed: float
    refused: int
    note: str

    @property
    def holds(self) -> bool:
        return self.seconds <= self.allowed


async def rabbitmq_fails_over(load: Load, nodes: RabbitCluster) -> Failover:
    """Kill the node that leads the queue of the worker: no call waits for RabbitMQ, but messages and events do."""
    allowed = 15.0
    leader = await asyncio.to_thread(nodes.leader, SEND_QUEUE)
    killed_at = time.monotonic()
    await asyncio.to_thread(leader.kill)
    await asyncio.sleep(allowed + 10)
    now = time.monotonic()
    silence = load.operations.longest_silence(killed_at, now)
    refused = load.operations.failures(killed_at, now)
    note = "the longest time in which no message or no event arrived"
    return Failover(f"RabbitMQ: the leader of {SEND_QUEUE}, of three nodes", silence, allowed, refused, note)


async def redis_fails_over(load: Load, nodes: RedisCluster) -> Failover:
    """Kill a master with its third of the keys: limits on these fail closed until its replica has taken over."""
    allowed = 5.0
    master = await asyncio.to_thread(nodes.master)
    killed_at = time.monotonic()
    await asyncio.to_thread(master.kill)
    await asyncio.sleep(allowed + 10)
    now = time.monotonic()
    back = load.operations.back_after(killed_at, now)
    note = "until the limits on every key were charged again"
    return Failover(
        "Redis: one master, of three with a replica each", back, allowed, load.operations.failures(killed_at, now), note
    )


async def postgres_fails_over(load: Load, pair: PostgresPair) -> Failover:
    """Kill the primary, and promote the synchronous standby at once, as an operator's tool does."""
    allowed = 2.0
    killed_at = time.monotonic()
    await asyncio.to_thread(pair.primary.kill)
    await pair.promote()
    promoted_at = time.monotonic()
    await asyncio.sleep(allowed + 10)
    now = time.monotonic()
    back = load.operations.back_after(promoted_at, now)
    refused = load.operations.failures(killed_at, now)
    note = f"from the end of the promotion, which took {promoted_at - killed_at:.1f} s with the kill"
    return Failover("PostgreSQL: the primary, with a synchronous standby", back, allowed, refused, note)
