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

LATE_SECONDS = 60
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
async def receiving(users: set[str], url: str, load: Load) -> AsyncIterator[None]:
    """Add the users whose registration a consumer of its own receives to ``users``. Its queue is on all nodes."""

    async def receive(body: bytes) -> None:
        users.add(str(json.loads(body)["data"]["user_id"]))
        load.operations.arrived("event")

    async with amqp.connect(url, "cluster-check") as connection:
        queue = amqp.Queue("check.registered", [REGISTERED])
        publisher = await amqp.Publisher.open(connection, "test")
        async with amqp.Consumer(queue, receive, publisher).running(connection):
            yield


async def losses(stack: Stack, load: Load, event_users: set[str]) -> list[Loss]:
    """Count what is missing, after everything that is late has had a minute to arrive.

    ``event_users`` are those that consumers received: one during the load, and one that begins now and gets what was
    delivered to the first in vain.
    """
    tables_opened = Tables.connect(stack.servers.postgres.url, stack.environ["PHONE_KEY"])
    async with tables_opened as tables, receiving(event_users, stack.servers.rabbitmq.url, load):
        for _ in range(LATE_SECONDS):
            found = await _missing(tables, load, event_users)
            if not any(loss.lost for loss in found):
                break
            await asyncio.sleep(1)
    return [*found, await _lost_charges(stack.servers.redis.url, load)]


async def _missing(tables: Tables, load: Load, event_users: set[str]) -> list[Loss]:
    accounts, codes = set(load.acknowledged.accounts), set(load.acknowledged.codes)

    async def rows(database: str, statement: str) -> set[str]:
        return {row[0] for row in await tables.connections[database].fetch(statement)}

    found = {
        "codes: promised, and received by their number": (codes, load.received),
        "accounts: registered, and in the table": (accounts, await rows("auth", ACCOUNTS)),
        "sessions: opened, and in the table": (accounts, await rows("auth", SESSIONS)),
        "events: due, and received by a consumer": (accounts, event_users),
        "members: registered, and in the directory of contacts": (accounts, await rows("contacts", MEMBERS)),
    }
    return [Loss(kind, len(promised), len(promised - kept)) for kind, (promised, kept) in found.items()]


async def _lost_charges(url: str, load: Load) -> Loss:
    """Charges of limits: from when each limit is full again, how many are counted."""
    charges, counted, interval = load.acknowledged.charges, 0, PERIOD / ALLOWED
    async with redis.client(url) as client:
        for key, count in charges.items():
            full_at = int(await client.get(key) or 0) / 1_000_000
            counted += min(count, max(0, math.ceil((full_at - time.time()) / interval)))
    return Loss("charges: of a limit, and counted in Redis", charges.total(), charges.total() - counted)
