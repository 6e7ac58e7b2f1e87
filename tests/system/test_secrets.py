"""No code, password, token or clear number leaks: a test uses known values and searches for them everywhere."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import aio_pika
import pytest
import redis.asyncio
from stack.system import Stack
from support.app import App, fresh_number, md5, wrong
from support.database import Tables
from support.patience import MAX_SECONDS

PASSWORDS = ("Canary-Password-One", "Canary-Password-Two", "Canary-Wrong-Password")


@pytest.fixture
async def published_events(system: Stack, tables: Tables) -> AsyncIterator[Callable[[], Awaitable[list[str]]]]:
    """Returns every event of the test so far, with its headers, once all are published. Commands have only ids."""
    async with await aio_pika.connect(system.addresses["AMQP_URL"]) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("events", "#")

        async def all_events() -> list[str]:
            await outboxes_are_empty(tables)
            await channel.default_exchange.publish(aio_pika.Message(b""), queue.name)  # stands behind every event
            return [event async for event in until_empty_message(queue)]

        yield all_events


async def outboxes_are_empty(tables: Tables) -> None:
    """Wait until the broker has confirmed every committed event."""
    async with asyncio.timeout(MAX_SECONDS):
        for connection in tables.connections.values():
            while await connection.fetchval("select exists (select from outbox where parked_at is null)"):
                await asyncio.sleep(0.05)


async def until_empty_message(queue: aio_pika.abc.AbstractQueue) -> AsyncIterator[str]:
    while (message := await queue.get(no_ack=True, timeout=MAX_SECONDS)).body:
        yield f"{message.routing_key} {message.headers} {message.body.decode()}"


async def test_logs_tables_events_redis_and_refusals_contain_nothing_private(
    app: App, system: Stack, tables: Tables, published_events: Callable[[], Awaitable[list[str]]]
) -> None:
    number, other = fresh_number(), fresh_number()
    refusals: list[str] = []
    canaries = {f"password {n}": word for n, word in enumerate(PASSWORDS)}
    canaries |= {f"md5 {n}": md5(word) for n, word in enumerate(PASSWORDS)}

    # The whole life of an account, with every kind of mistake.
    await app.send_code(number)
    refusals.append(str((await app.send_code(number)).body))
    sign_up = await app.code(number)
    refusals.append(str((await app.verify(number, wrong(sign_up))).body))
    ticket = (await app.verify(number, sign_up)).body["data"]["tmp_token"]
    refusals.append(str((await app.new_user(other, PASSWORDS[0], ticket)).body))
    user = (await app.new_user(number, PASSWORDS[0], ticket)).body["data"]
    refusals.append(str((await app.log_in(number, PASSWORDS[2])).body))
    session = (await app.log_in(number, PASSWORDS[0])).body
    await app.check_contact(user["userId"], session["token"], [other, number, "12345"])
    refusals.append(str((await app.check_contact(1, session["token"], [other])).body))
    await tables.age(number, 61)
    await app.forgot(number)
    reset_code = await app.code(number)
    reset = (await app.reset(number, reset_code, PASSWORDS[1])).body
    refusals += await malformed(app, number, sign_up)
    for service in [each for each in system.services.values() if each.is_alive]:
        async with app.http.get(f"{service.url}/v1/codes/check?code={sign_up}&phone={number}") as response:
            refusals.append(await response.text())
        async with app.http.get(f"{service.monitoring_url}/metrics") as response:
            refusals.append(await response.text())

    canaries |= {"number": number, "contact": other, "ticket": ticket, "reset token": reset["token"]}
    canaries |= {"register token": user["token"], "session token": session["token"]}
    codes = {"sign-up code": sign_up, "reset code": reset_code}
    events = await published_events()
    places = {f"log of {name}": service.logs() for name, service in system.services.items()}
    places |= {f"table {name}": text for name, text in (await tables.everything()).items()}
    places |= {
        "events": "\n".join(events),
        "redis": await everything_in_redis(system),
        "refusals": "\n".join(refusals),
    }

    assert len(events) > 5, "too few events: the search would prove nothing"
    assert "service.ready" in places["log of gateway"]
    assert leaks(places, canaries, codes) == []


def leaks(places: dict[str, str], canaries: dict[str, str], codes: dict[str, str]) -> list[str]:
    """Each canary and where it leaked."""
    leaked = []
    for place, text in places.items():
        for name, canary in canaries.items():
            own_number = name == "number" and place == "table auth.accounts"
            if canary in text and not own_number:
                leaked.append(f"{name} in {place}")
        for name, code in codes.items():
            # six digits inside a longer word may be microseconds or part of an id
            if re.search(rf"(?<![0-9A-Za-z.]){code}(?![0-9A-Za-z])", text):
                leaked.append(f"{name} in {place}")
    return leaked


async def malformed(app: App, number: str, code: str) -> list[str]:
    """Send requests that cannot be parsed and contain private values. Returns the responses."""
    host, port = app.gateway.removeprefix("http://").split(":")
    responses = []
    for head in (
        f"GET /v1/user/register/verify.json?phone_number={number}&verify_code={code} HTTP/1.1\nHost: x\n\n",
        f"GET /v1/user/register/verify.json?phone_number={number}&verify_code={code} HTTP/9.9\r\n\r\n",
        f"BAD\x01 /?verify_code={code} HTTP/1.1\r\n\r\n",
        f"GET /{number}/{code} HTTP/1.1\r\nHost: x\r\nX-Big: {'y' * 9000}\r\n\r\n",
        f"POST /v1/user/login.json HTTP/1.1\r\nHost: x\r\nContent-Length: {code}\r\nContent-Length: 1\r\n\r\n{number}",
        f"GET /nowhere/{number}?code={code} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode())
        writer.write_eof()
        async with asyncio.timeout(30):
            responses.append((await reader.read(65536)).decode())
        writer.close()
        await writer.wait_closed()
    return responses


async def everything_in_redis(system: Stack) -> str:
    client = redis.asyncio.Redis.from_url(system.addresses["REDIS_URL"])
    async with client:
        entries = []
        async for key in client.scan_iter():
            kind = await client.type(key)
            value = await client.dump(key)
            entries.append(f"{key!r} {kind!r} {value!r}")
        return "\n".join(entries)
