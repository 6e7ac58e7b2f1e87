"""A thousand parked messages replayed while contacts-service is killed again and again: none is lost, none counts twice.

``PARKED=10000`` makes the test long.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import aio_pika
import asyncpg
import orjson
import pytest
from pydantic import SecretStr
from stack.system import Stack

from shared.errors import ServiceError
from shared.internal_api.client import internal_client
from shared.internal_api.operators.parked import LIST_PARKED, REPLAY_PARKED, ListParked, ReplayParked, Settled
from shared.internal_api.operators.requests import ServiceName
from shared.phone import ref_hex
from shared.postgres import url_of

PARKED = int(os.environ.get("PARKED", "1000"))
KILLS = 4
FIRST_USER = 2**52
ASK = {"operator": "ada", "service": ServiceName.CONTACTS}
WAITING = """
    select (select count(*) from parked_messages where settled_at is null) + (select count(*) from outbox)
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A separate system, because this test kills its contacts-service."""
    with Stack.private(environ={"CALLER_LIMITS": "off", "ENVIRONMENT": "development"}) as stack:
        stack.start_servers(then=stack.migrate)
        stack.start_services(("auth-service", "contacts-service"))
        yield stack


@pytest.fixture
async def contacts(stack: Stack) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url_of(stack.addresses["POSTGRES_URL"], "contacts"))
    yield connection
    await connection.close()


def event(user_id: int) -> bytes:
    """``auth.user.registered.v1``, as auth-service publishes it."""
    data = {
        "user_id": str(user_id),
        "phone_ref": ref_hex(user_id),
        "phone_masked": "138****8000",
        "country": "86",
        "nickname": "parked",
        "avatar": "",
        "discoverable": True,
        "disabled": False,
        "dialect": "native",
        "client": "test",
    }
    envelope = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/auth-service",
        "type": "auth.user.registered.v1",
        "time": datetime.now(UTC).isoformat(),
        "subject": str(user_id),
        "version": 1,
        "data": data,
    }
    return orjson.dumps(envelope)


async def park(stack: Stack) -> None:
    """Put the events into the parking queue, as if each had failed four times."""
    async with await aio_pika.connect(stack.addresses["AMQP_URL"]) as bus:
        exchange = await (await bus.channel()).get_exchange("contacts.directory", ensure=False)
        for user_id in range(FIRST_USER, FIRST_USER + PARKED):
            message = aio_pika.Message(event(user_id), message_id=str(uuid4()), delivery_mode=2)
            await exchange.publish(message, "contacts.directory.parked")


async def replay(stack: Stack) -> Settled | None:
    """Replay all that is parked; None while the service is away."""
    token = SecretStr(stack.environ["OPERATOR_TO_CONTACTS_TOKEN"])
    try:
        async with internal_client(stack.url("contacts-service"), token) as client:
            return await client.call(REPLAY_PARKED, ReplayParked(**ASK, reason="mended", everything=True))
    except ServiceError:
        return None


async def parked(stack: Stack) -> int:
    token = SecretStr(stack.environ["OPERATOR_TO_CONTACTS_TOKEN"])
    async with internal_client(stack.url("contacts-service"), token) as client:
        return (await client.call(LIST_PARKED, ListParked(**ASK))).total


async def until_parked(stack: Stack) -> None:
    async with asyncio.timeout(120):
        while await parked(stack) == 0:
            await asyncio.sleep(0.02)


async def kill(stack: Stack) -> None:
    """Kill the service where it stands and start it again."""
    service = stack.services["contacts-service"]
    await asyncio.to_thread(service.kill)
    await asyncio.to_thread(service.start)


@pytest.mark.timeout(600)
async def test_killed_while_they_are_taken_and_replayed_parked_messages_are_neither_lost_nor_settled_twice(
    stack: Stack, contacts: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await park(stack)
    await until_parked(stack)
    await kill(stack)  # it has taken some, or all: the rest is in the queue
    for _ in range(KILLS):
        async with asyncio.timeout(120):
            while not await contacts.fetchval("select count(*) from parked_messages where settled_at is null"):
                if await contacts.fetchval("select count(*) from parked_messages") == PARKED:
                    break
                await asyncio.sleep(0.02)
        done = asyncio.create_task(replay(stack))
        await asyncio.wait({done}, timeout=0.05)
        await kill(stack)
        await done
    async with asyncio.timeout(120):
        while await contacts.fetchval("select count(*) from parked_messages where settled_at is not null") < PARKED:
            await replay(stack)
            await asyncio.sleep(0.2)
        while await contacts.fetchval(WAITING) or await contacts.fetchval("select count(*) from directory") < PARKED:
            await asyncio.sleep(0.1)

    rows = await contacts.fetch("select user_id, version from directory where user_id >= $1", FIRST_USER)
    assert {row["user_id"] for row in rows} == set(range(FIRST_USER, FIRST_USER + PARKED))
    assert {row["version"] for row in rows} == {1}
    outcomes = await contacts.fetch("select outcome, count(*) from parked_messages group by outcome")
    assert [tuple(row) for row in outcomes] == [("replayed", PARKED)]
