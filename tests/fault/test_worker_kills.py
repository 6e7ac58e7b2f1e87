"""Workers killed at random moments: no sender gets a message twice, and every message has a final state.

``WORKER_KILLS=200`` makes the test long.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from stack.system import Stack
from support.app import App, fresh_number
from support.provider import Provider, ProviderRequest, provider

from shared.postgres import url_of

KILLS = int(os.environ.get("WORKER_KILLS", "8"))
MESSAGES_PER_KILL = 12
SECRET = "whsec_c2VjcmV0"
CONFIG_FILE = """\
[senders.first]
type = "webhook"
url = "{first}/"
secret_env = "KILLS_SECRET"
[senders.second]
type = "webhook"
url = "{second}/"
secret_env = "KILLS_SECRET"
[[routes]]
prefix = "+"
senders = ["first", "second"]
"""
UNFINISHED = "select count(*) from messages where state in ('queued', 'sending')"
ABANDON = "update messages set claimed_at = claimed_at - $1::interval where state = 'sending'"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A separate system, because this test kills its workers."""
    environ = {"CALLER_LIMITS": "off", "ENVIRONMENT": "development", "KILLS_SECRET": SECRET}
    with Stack.private(environ=environ) as stack:
        stack.start_servers(then=stack.migrate)
        stack.start_services(("gateway", "auth-service", "sms-service"))
        yield stack


@pytest.fixture
async def tables(stack: Stack) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url_of(stack.addresses["POSTGRES_URL"], "sms"))
    yield connection
    await connection.close()


@asynccontextmanager
async def two_providers() -> AsyncIterator[list[Provider]]:
    """Both are sometimes slow, and the first fails for every third message."""

    async def first(_: ProviderRequest) -> web.Response:
        await asyncio.sleep(random.choice((0, 0.01, 0.1)))
        return web.Response(status=random.choice((202, 202, 503)))

    async def second(_: ProviderRequest) -> web.Response:
        await asyncio.sleep(random.choice((0, 0.02)))
        return web.Response(status=202)

    async with provider(respond=first) as one, provider(respond=second) as two:
        yield [one, two]


def received(service: Provider) -> Counter[str]:
    """How often a provider received each message."""
    return Counter(json.loads(request.body)["id"] for request in service.requests)


@pytest.mark.timeout(120 + 8 * KILLS)
async def test_killed_workers_send_nothing_twice_and_lose_nothing(
    stack: Stack, tables: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    file = tmp_path / "sms.toml"
    async with (
        App.connect(stack.url("gateway"), stack.url("sms-service")) as app,
        two_providers() as services,
    ):
        file.write_text(CONFIG_FILE.format(first=services[0].url, second=services[1].url))
        launch = {"env": {"SMS_CONFIG_FILE": str(file)}, "wait": False}
        worker = await asyncio.to_thread(stack.launch, "sms-worker", **launch)
        for _ in range(KILLS):
            await asyncio.to_thread(worker.wait_ready)
            seen = sum(len(service.requests) for service in services)
            await asyncio.gather(*(app.send_code(fresh_number()) for _ in range(MESSAGES_PER_KILL)))
            async with asyncio.timeout(30):
                while sum(len(service.requests) for service in services) == seen:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(random.uniform(0, 0.15))
            await asyncio.to_thread(worker.kill)
            worker.spawn()
        await asyncio.to_thread(worker.wait_ready)
        async with asyncio.timeout(60):
            while await tables.fetchval(UNFINISHED):
                await tables.execute(ABANDON, timedelta(seconds=31))  # as if the 30 s of the sweep had passed
                await asyncio.sleep(0.5)

    for service in services:
        assert set(received(service).values()) == {1}
    rows = await tables.fetch("select message_id, state, failure, sender from messages")
    assert len(rows) == KILLS * MESSAGES_PER_KILL
    assert {row["state"] for row in rows} <= {"sent", "failed"}
    assert {row["failure"] for row in rows if row["state"] == "failed"} <= {"abandoned"}
    attempts = await tables.fetch("select message_id, sender, number, outcome, finished_at from attempts")
    assert all(row["finished_at"] is not None and row["outcome"] for row in attempts)
    sent = {str(row["message_id"]) for row in rows if row["state"] == "sent"}
    assert sent <= received(services[0]).keys() | received(services[1]).keys()
    assert await tables.fetchval("select count(*) from outbox where parked_at is not null") == 0
