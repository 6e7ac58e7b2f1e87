"""What the system had acknowledged before, during and after the failovers, and what is still there."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from clusters.load import ALLOWED, PERIOD, Load
from stack.system import Stack
from support.database import Tables

from shared import amqp, redis

LATE_SECONDS = 60.0
REGISTERED = "auth.user.registered.v1"
ACCOUNTS = "select user_id::text from accounts"
SESSIONS = "select user_id::text from sessions"
MEMBERS = "select user_id::text from directory"


@dataclass(frozen=True)
class Loss:
    """A row of the table: how many operations of one kind were acknowledged, and how many of them are missing."""

    kind: str
    acknowledged: int
    lost: int


@asynccontextmanager
async def registered_users(url: str, load: Load) -> AsyncIterator[set[str]]:
    """The users that a consumer of its own was told about. Its queue is on all nodes."""
    told_users: set[str] = set()

    async def receive(body: bytes) -> None:
        told_users.add(str(json.loads(body)["data"]["user_id"]))
        load.operations.arrived("event")

    async with amqp.connect(url, "cluster-check") as connection:
        queue = amqp.Queue("check.registered", [REGISTERED])
        publisher = await amqp.Publisher.open(connection)
        async with amqp.Consumer(queue, receive, publisher).running(connection):
            yield told_users


async def losses(stack: Stack, load: Load, told_users: set[str]) -> list[Loss]:
    """Count what is missing, after everything that is late has had a minute to arrive."""
    acknowledged = load.acknowledged
    accounts, codes = set(acknowledged.accounts), set(acknowledged.codes)
    async with Tables.connect(stack.servers.postgres.url, stack.environ["PHONE_KEY"]) as tables:

        async def rows(database: str, statement: str) -> set[str]:
            return {row[0] for row in await tables.connections[database].fetch(statement)}

        async def missing() -> list[Loss]:
            return [
                Loss("codes: promised, and received by their number", len(codes), len(codes - load.received)),
                Loss(
                    "accounts: registered, and in the table",
                    len(accounts),
                    _lost(accounts, await rows("auth", ACCOUNTS)),
                ),
                Loss(
                    "sessions: opened, and in the table", len(accounts), _lost(accounts, await rows("auth", SESSIONS))
                ),
                Loss("events: due, and received by a consumer", len(accounts), _lost(accounts, told_users)),
                Loss(
                    "members: registered, and found by contacts",
                    len(accounts),
                    _lost(accounts, await rows("contacts", MEMBERS)),
                ),
            ]

        found = await missing()
        for _ in range(int(LATE_SECONDS)):
            if not any(loss.lost for loss in found):
                break
            await asyncio.sleep(1)
            found = await missing()
    return [*found, await _lost_charges(stack.servers.redis.url, load)]


async def _lost_charges(url: str, load: Load) -> Loss:
    """Charges of limits: from when each limit is full again, how many are counted."""
    charges, counted, interval = load.acknowledged.charges, 0, PERIOD / ALLOWED
    async with redis.client(url) as client:
        for key, count in charges.items():
            full_at = int(await client.get(key) or 0) / 1_000_000
            counted += min(count, max(0, math.ceil((full_at - time.time()) / interval)))
    return Loss("charges: of a limit, and counted in Redis", charges.total(), charges.total() - counted)


def _lost(acknowledged: set[str], found: set[str]) -> int:
    return len(acknowledged - found)
