"""No code, password, token or clear number where it does not belong: canaries are planted and looked for everywhere."""

import asyncio
import re
from collections.abc import AsyncIterator

import aio_pika
import pytest
import redis.asyncio
from stack.system import Stack
from support.app import App, fresh_number, md5, wrong
from support.database import Tables

PASSWORDS = ("Canary-Password-One", "Canary-Password-Two", "Canary-Wrong-Password")


@pytest.fixture
async def overheard(system: Stack) -> AsyncIterator[list[str]]:
    """Every event published while the test runs, headers included; commands hold a message id and nothing else."""
    heard: list[str] = []

    async def listen(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        heard.append(f"{message.routing_key} {message.headers} {message.body.decode()}")

    connection = await aio_pika.connect(system.addresses["AMQP_URL"])
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("events", "#")
        await queue.consume(listen, no_ack=True)
        yield heard


async def test_nothing_private_is_found_in_logs_tables_events_redis_or_refusals(
    app: App, system: Stack, tables: Tables, overheard: list[str]
) -> None:
    number, other = fresh_number(), fresh_number()
    refusals: list[str] = []
    canaries = {f"password {n}": word for n, word in enumerate(PASSWORDS)}
    canaries |= {f"md5 {n}": md5(word) for n, word in enumerate(PASSWORDS)}

    # A whole life of an account, with every kind of mistake on the way.
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
        async with app.http.get(f"{service.url}/metrics") as response:
            refusals.append(await response.text())

    canaries |= {"number": number, "contact": other, "ticket": ticket, "reset token": reset["token"]}
    canaries |= {"register token": user["token"], "session token": session["token"]}
    codes = {"sign-up code": sign_up, "reset code": reset_code}
    await asyncio.sleep(1.5)  # one poll of the relay: whatever was committed is out
    places = {f"log of {name}": service.logs() for name, service in system.services.items()}
    places |= {f"table {name}": text for name, text in (await tables.everything()).items()}
    places |= {
        "events": "\n".join(overheard),
        "redis": await everything_in_redis(system),
        "refusals": "\n".join(refusals),
    }

    assert len(overheard) > 5, "nothing was overheard: the search proves nothing"
    assert "service.ready" in places["log of gateway"]
    assert found(places, canaries, codes) == []


def found(places: dict[str, str], canaries: dict[str, str], codes: dict[str, str]) -> list[str]:
    """Where a canary sits that should not."""
    hits = []
    for place, text in places.items():
        for name, canary in canaries.items():
            own_number = name == "number" and place == "table auth.accounts"
            if canary in text and not own_number:
                hits.append(f"{name} in {place}")
        for name, code in codes.items():
            # six digits may be microseconds of a time or part of an id: only a word of its own is the code
            if re.search(rf"(?<![0-9A-Za-z.]){code}(?![0-9A-Za-z])", text):
                hits.append(f"{name} in {place}")
    return hits


async def malformed(app: App, number: str, code: str) -> list[str]:
    """Requests that cannot even be parsed, with private values inside, and what came back."""
    host, port = app.gateway.removeprefix("http://").split(":")
    answers = []
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
            answers.append((await reader.read(65536)).decode())
        writer.close()
        await writer.wait_closed()
    return answers


async def everything_in_redis(system: Stack) -> str:
    client = redis.asyncio.Redis.from_url(system.addresses["REDIS_URL"])
    async with client:
        found = []
        async for key in client.scan_iter():
            kind = await client.type(key)
            value = await client.dump(key)
            found.append(f"{key!r} {kind!r} {value!r}")
        return "\n".join(found)
