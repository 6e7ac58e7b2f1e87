"""Outages of servers and processes: what keeps working, what waits, and what never happens twice."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio
from aio_pika.exceptions import AMQPError
from aiohttp import web
from stack import ports
from stack.system import Stack
from support.app import App, fresh_number
from support.database import Tables

from shared import amqp, postgres
from shared.errors import ServiceError
from shared.events.envelope import EXCHANGE, OutboxMessage, new_id

LIMITED = {"CALLER_LIMITS": "on", "ENVIRONMENT": "development", "TRUSTED_PROXIES": "127.0.0.0/8"}
"""Caller limits are on here, so each request comes from another address through a trusted proxy."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A private system: these tests stop its servers."""
    with Stack.private(environ=LIMITED) as stack:
        stack.start()
        yield stack


@pytest.fixture(scope="module")
async def app(stack: Stack) -> AsyncIterator[App]:
    async with App.connect(stack.url("gateway"), stack.url("sms-service"), spread=True) as app:
        yield app


@pytest.fixture(autouse=True)
async def recovered(app: App) -> None:
    """Each test starts after the system has recovered from the one before."""
    await until_served(app)


@asynccontextmanager
async def listening(stack: Stack, name: str, keys: list[str]) -> AsyncIterator[asyncio.Queue[dict]]:
    """The events that a durable consumer receives, also after a restart of the broker."""
    received: asyncio.Queue[dict] = asyncio.Queue()
    queue = amqp.Queue(name, keys)

    async def receive(body: bytes) -> None:
        received.put_nowait(json.loads(body))

    async with amqp.connect(stack.addresses["AMQP_URL"], name) as connection:
        async with amqp.Consumer(queue, receive, await amqp.Publisher.open(connection, "test")).running(connection):
            yield received
        channel = await connection.channel()
        for part in (queue.name, queue.parked, *map(queue.retry_queue, amqp.RETRY_DELAYS)):
            await channel.queue_delete(part)


async def test_without_rabbitmq_users_register_and_log_in_and_every_event_arrives_later(stack: Stack, app: App) -> None:
    numbers = [fresh_number() for _ in range(3)]
    for number in numbers:
        await app.send_code(number)
    codes = {number: await app.code(number) for number in numbers}
    async with listening(stack, "test.outage", ["auth.user.registered.v1"]) as received:
        stack.servers.rabbitmq.stop()
        users = []
        for number in numbers:
            ticket = (await app.verify(number, codes[number])).body["data"]["tmp_token"]
            users.append((await app.new_user(number, "a password", ticket)).body["data"])
            assert "token" in (await app.log_in(number, "a password")).body
        stack.servers.rabbitmq.start()

        registered, reported = {str(user["userId"]) for user in users}, set()
        try:
            async with asyncio.timeout(60):
                while not registered <= reported:  # an event of the test before may arrive first
                    reported.add((await received.get())["data"]["user_id"])
        except TimeoutError:
            async with Tables.connect(stack.addresses["POSTGRES_URL"], stack.environ["PHONE_KEY"]) as tables:
                waiting = await tables.connections["auth"].fetch("select routing_key, created_at, attempts from outbox")
            log = stack.services["auth-service"].logs()
            pytest.fail(f"no event of {registered - reported}; in the outbox: {waiting}\n{log}")

    arguments = (users[0]["userId"], users[0]["token"], [numbers[1], numbers[2]])
    async with asyncio.timeout(60):
        while len((await app.check_contact(*arguments)).body.get("data", [])) < 2:
            await asyncio.sleep(0.2)


async def declare_when_ready(connection: amqp.Connection, queue: amqp.Queue) -> None:
    """Declare a queue. A broker that has just started may still refuse queues for some seconds."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await amqp.declare(await connection.channel(), queue)
            except (AMQPError, OSError, RuntimeError):
                await asyncio.sleep(0.5)


async def test_messages_that_rest_while_rabbitmq_restarts_all_return(stack: Stack) -> None:
    queue = amqp.Queue("test.resting", prefetch=200)
    bodies = [str(number).encode() for number in range(200)]
    returned: set[bytes] = set()

    async def receive(body: bytes) -> None:
        returned.add(body)

    async with amqp.connect(stack.addresses["AMQP_URL"], "test.resting") as connection:
        publisher = await amqp.Publisher.open(connection, "test")
        await declare_when_ready(connection, queue)
        for number, body in enumerate(bodies):  # half of them expire while the broker starts, half soon after
            rung = queue.retry_queue((1, 10)[number % 2])
            await publisher.publish(OutboxMessage(new_id(), "", rung, body))
        stack.servers.rabbitmq.stop()
        stack.servers.rabbitmq.start()
        async with amqp.Consumer(queue, receive, publisher).running(connection):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(40):
                    while len(returned) < len(bodies):
                        await asyncio.sleep(0.05)
        assert returned == set(bodies)
        channel = await connection.channel()
        for part in (queue.name, queue.parked, *map(queue.retry_queue, amqp.RETRY_DELAYS)):
            await channel.queue_delete(part)


async def test_users_who_register_while_the_exchange_is_deleted_are_found_within_a_minute(
    stack: Stack, app: App
) -> None:
    """Events wait until the consumers have declared the exchange and their bindings again."""
    asking = await app.register(fresh_number(), "a password")
    async with amqp.connect(stack.addresses["AMQP_URL"], "operator") as operator:
        await (await operator.channel()).exchange_delete(EXCHANGE)
    number = fresh_number()
    await app.register(number, "a password")
    await until_found(app, asking, number)
    assert stack.services["contacts-service"].status("/readyz") == 200


async def test_a_publisher_waits_for_consumers_although_the_exchange_was_created_again_at_once(
    stack: Stack, app: App
) -> None:
    """Another consumer's declaration, before anything was published, does not hide that bindings are gone."""
    tickets = {number: await app.ticket(number) for number in (fresh_number(), fresh_number())}
    await until_published(stack)
    async with amqp.connect(stack.addresses["AMQP_URL"], "operator") as operator:
        channel = await operator.channel()
        await channel.exchange_delete(EXCHANGE)
        exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
        for number, ticket in tickets.items():
            await app.new_user(number, "a password", ticket)
        queue = await channel.declare_queue("", exclusive=True)
        await queue.bind(exchange, "auth.user.registered.v1")
        async with asyncio.timeout(60), queue.iterator() as messages:
            events = [json.loads((await anext(messages)).body) for _ in tickets]
    assert {event["data"]["phone_masked"][-4:] for event in events} == {number[-4:] for number in tickets}


async def test_users_who_register_while_a_binding_is_deleted_are_republished(stack: Stack, app: App) -> None:
    asking, number = await app.register(fresh_number(), "a password"), fresh_number()
    await until_found(app, asking, await registered(app))
    async with amqp.connect(stack.addresses["AMQP_URL"], "operator") as operator:
        queue = await (await operator.channel()).get_queue("contacts.directory")
        await queue.unbind(EXCHANGE, "auth.user.registered.v1")
        await app.register(number, "a password")
        await until_published(stack)
    command = [sys.executable, "-m", "auth_service", "republish", "--to", "contacts.directory"]
    await asyncio.to_thread(subprocess.run, command, env=os.environ | stack.environ, check=True)
    await until_found(app, asking, number)


async def until_published(stack: Stack) -> None:
    """Wait until auth-service has published every event."""
    async with Tables.connect(stack.addresses["POSTGRES_URL"], stack.environ["PHONE_KEY"]) as tables:
        async with asyncio.timeout(30):
            while await tables.connections["auth"].fetchval("select count(*) from outbox"):
                await asyncio.sleep(0.05)


async def registered(app: App) -> str:
    """The number of a new user."""
    number = fresh_number()
    await app.register(number, "a password")
    return number


async def is_found(app: App, asking: Any, number: str) -> bool:
    answer = await app.check_contact(asking["userId"], asking["token"], [number])
    return bool(answer.body.get("data"))


async def until_found(app: App, asking: Any, number: str) -> None:
    async with asyncio.timeout(60):
        while not await is_found(app, asking, number):
            await asyncio.sleep(0.2)


async def test_without_redis_no_limit_is_higher_and_log_in_works(stack: Stack, app: App) -> None:
    number = fresh_number()
    await app.register(number, "a password")
    stack.servers.redis.stop()
    try:
        assert "token" in (await app.log_in(number, "a password")).body
        refused = await app.send_code(fresh_number())
        assert (refused.status, refused.body["error_code"]) == (503, "10010")
        assert int(refused.headers["Retry-After"]) >= 1
    finally:
        stack.servers.redis.start()
    await until_served(app)


@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_without_postgresql_every_call_is_refused_within_five_seconds_and_recovers(
    stack: Stack, app: App, fault: str
) -> None:
    number = fresh_number()
    user = await app.register(number, "a password")
    calls = {
        "send": (app.send_code, (fresh_number(),), "10010"),
        "verify": (app.verify, (number, "123456"), "10010"),
        "log in": (app.log_in, (number, "a password"), "20010"),
        "reset": (app.reset, (number, "123456", "another"), "20010"),
        "contacts": (app.check_contact, (user["userId"], user["token"], [fresh_number()]), "10010"),
    }
    getattr(stack.servers.postgres, fault)()
    try:
        for name, (call, arguments, code) in calls.items():
            started = time.monotonic()
            reply = await call(*arguments)
            assert (reply.status, reply.body["error_code"]) == (503, code), name
            assert time.monotonic() - started < 5, name
    finally:
        stack.servers.postgres.start() if fault == "stop" else stack.servers.postgres.resume()
    async with asyncio.timeout(30):
        while (await app.log_in(number, "a password")).status == 503:
            await asyncio.sleep(0.2)


async def test_a_worker_killed_between_claim_and_record_never_sends_twice(stack: Stack, app: App) -> None:
    posts: list[str] = []
    arrived, release = asyncio.Event(), asyncio.Event()
    first, second = fresh_number(), fresh_number()

    async def provider(request: web.Request) -> web.Response:
        """A provider that accepts messages but answers the first one late."""
        numbers = [message["to"] for message in (await request.json())["messages"]]
        posts.extend(numbers)
        if f"+86{first}" in numbers and not arrived.is_set():
            arrived.set()
            await release.wait()
        return web.json_response({}, status=201)

    async with serving(provider) as url:
        stack.services["sms-worker"].stop()
        worker = stack.launch("sms-worker", label="killed-worker", env={"INBOX_URL": url})
        await app.send_code(first)
        async with asyncio.timeout(30):
            await arrived.wait()
        worker.kill()
        worker.start()
        await app.send_code(second)
        async with asyncio.timeout(30):
            while f"+86{second}" not in posts:
                await asyncio.sleep(0.05)
        release.set()
        worker.stop()
    stack.services["sms-worker"].start()

    assert [post for post in posts if post in {f"+86{first}", f"+86{second}"}] == [f"+86{first}", f"+86{second}"]
    async with Tables.connect(stack.addresses["POSTGRES_URL"], stack.environ["PHONE_KEY"]) as tables:
        state = await tables.connections["sms"].fetchval(
            "select state from messages where phone_ref = $1", tables.ref(first)
        )
    assert state in {"sending", "failed"}


async def hang_inside_a_transaction(stack: Stack, pool: postgres.Pool) -> None:
    async with postgres.transaction(pool) as conn:
        await conn.fetchval("select 1")
        stack.servers.postgres.pause()
        await conn.fetchval("select 2")


async def until_served(app: App) -> None:
    """Wait until codes can be requested again."""
    async with asyncio.timeout(30):
        while (await app.send_code(fresh_number())).status == 503:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def serving(handler) -> AsyncIterator[str]:
    """A small HTTP server in place of a provider."""
    app = web.Application()
    app.router.add_post("/inbox/messages", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = ports.free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_a_server_that_hangs_inside_a_transaction_costs_the_deadline_and_no_connection(stack: Stack) -> None:
    async with postgres.pool(stack.addresses["POSTGRES_URL"], "auth", size=1) as pool:
        started = time.monotonic()
        try:
            with pytest.raises(ServiceError):
                await hang_inside_a_transaction(stack, pool)
            assert time.monotonic() - started < 4
        finally:
            stack.servers.postgres.resume()
        assert await pool.fetchval("select 3") == 3


@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_every_process_shuts_down_cleanly_without_rabbitmq(stack: Stack, fault: str) -> None:
    names = ("auth-service", "sms-service", "contacts-service", "sms-worker")
    copies = [stack.launch(name, label=f"{name}-ending-{fault}") for name in names]
    getattr(stack.servers.rabbitmq, fault)()
    try:
        started = time.monotonic()
        exit_codes = await asyncio.gather(*(asyncio.to_thread(process.stop) for process in copies))
        assert dict(zip(names, exit_codes, strict=True)) == dict.fromkeys(names, 0)
        assert time.monotonic() - started < 20
    finally:
        stack.servers.rabbitmq.start() if fault == "stop" else stack.servers.rabbitmq.resume()


async def test_without_redis_contacts_are_not_matched(stack: Stack, app: App) -> None:
    user = await app.register(fresh_number(), "a password")
    stack.servers.redis.stop()
    try:
        reply = await app.check_contact(user["userId"], user["token"], [fresh_number()])
        assert (reply.status, reply.body["error_code"]) == (503, "10010")
    finally:
        stack.servers.redis.start()


async def test_flushing_redis_removes_no_limit_of_a_number(stack: Stack, app: App) -> None:
    number = fresh_number()
    assert (await app.send_code(number)).body == {"success": "true"}
    client = redis.asyncio.Redis.from_url(stack.addresses["REDIS_URL"])
    async with client:
        await client.flushall()
    assert (await app.send_code(number)).body["error_code"] == "10003"
