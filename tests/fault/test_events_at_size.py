"""Events that cannot be lost, at the size that the environment names: ``make events-check`` runs 10,000 and 1,000,000."""

import asyncio
import itertools
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import pytest
from stack.system import Stack
from support.printed_consumer import DEAD, QUEUE, PrintedConsumer
from support.tools import node_modules

from auth_service.accounts.user_ids import NEW_USER_IDS
from shared import outbox
from shared.events.catalogue import UserUpdated
from shared.events.envelope import EXCHANGE, OutboxMessage, new_event
from shared.postgres import url_of

EVENTS = int(os.environ.get("EVENTS", "400"))
USERS = int(os.environ.get("USERS", "0"))
AT_SIZE = pytest.mark.timeout(1_800 if USERS else 400)

ADD_ACCOUNTS = """
    insert into accounts (user_id, phone, nickname, dialect, client)
    select $1::bigint + n * 4096, '+861' || (3000000000 + n), '用户' || n, 'native', 'ios'
    from generate_series(1, $2::bigint) as n
"""
DIRECTORY = "select count(*) from directory where phone_ref is not null"

Channel = aio_pika.abc.AbstractChannel
_numbers = itertools.count(NEW_USER_IDS.start)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A private system. These tests stop its broker, and their events are about users without an account."""
    environ = {"ENVIRONMENT": "development", "LOG_LEVEL": "warning", "DIRECTORY_CHECK_SECONDS": "0"}
    with Stack.private(environ=environ) as stack:
        stack.start()
        yield stack


@pytest.fixture(params=["python", "javascript"])
async def consumer(request: pytest.FixtureRequest, stack: Stack, tmp_path: Path) -> AsyncIterator[PrintedConsumer]:
    """A printed program with the pauses that the page has. Its queues are deleted afterwards."""
    if request.param == "javascript":
        (tmp_path / "node_modules").symlink_to(node_modules())
    yield PrintedConsumer(request.param, tmp_path, stack.addresses["AMQP_URL"], is_hurried=False)
    async with await aio_pika.connect(stack.addresses["AMQP_URL"]) as connection:
        channel = await connection.channel()
        for queue in (QUEUE, DEAD):
            await channel.queue_delete(queue)


@AT_SIZE
async def test_no_event_is_lost_over_exceptions_a_crash_a_restart_and_a_deleted_exchange(
    stack: Stack, consumer: PrintedConsumer
) -> None:
    published: list[str] = []
    share = EVENTS // 5
    async with consumer.running(failures=2, die_at=share + 7) as process:
        await until(lambda: is_consumed(stack))
        await put_into_outbox(stack, published, 2 * share)
        await process.wait()
    assert len(consumer.kept()) < 2 * share

    async with consumer.running():
        await put_into_outbox(stack, published, share // 2)
        await asyncio.to_thread(stack.servers.rabbitmq.stop)
        await put_into_outbox(stack, published, share // 2)
        await asyncio.to_thread(stack.servers.rabbitmq.start)
        await until(lambda: is_consumed(stack))
        await put_into_outbox(stack, published, share // 2)
        async with await aio_pika.connect(stack.addresses["AMQP_URL"]) as connection:
            await (await connection.channel()).exchange_delete(EXCHANGE)
        await put_into_outbox(stack, published, EVENTS - len(published))
        await until(lambda: has_kept(consumer, published))

    missing = set(published) - consumer.kept().keys()
    assert (len(published), len(missing)) == (EVENTS, 0)
    report(f"{consumer.language}: 0 of {len(published)} events lost")


@AT_SIZE
@pytest.mark.skipif(not USERS, reason="make events-check runs it: it takes minutes")
async def test_many_users_are_republished_into_one_queue_and_fill_an_empty_directory(stack: Stack) -> None:
    first = NEW_USER_IDS.start + 2**45
    auth, contacts = [await connect(stack, name) for name in ("auth", "contacts")]
    await auth.execute(ADD_ACCOUNTS, first, USERS, timeout=900)
    await auth.execute("analyze accounts")
    users = await auth.fetchval("select count(*) from accounts")
    async with await aio_pika.connect(stack.addresses["AMQP_URL"]) as connection:
        channel = await connection.channel()
        await republish_into(stack, channel, users)
    await contacts.execute("delete from directory")
    await fill_the_directory(stack, contacts, users)
    await auth.close()
    await contacts.close()


async def republish_into(stack: Stack, channel: Channel, users: int) -> None:
    """Republish everyone into one queue, while another one is bound to every event of auth-service."""
    arguments = {"x-queue-type": "quorum"}
    target = await channel.declare_queue("test.republished", durable=True, arguments=arguments)
    other = await channel.declare_queue("test.other", durable=True, arguments=arguments)
    await other.bind(EXCHANGE, "auth.#")
    size = disk_bytes(stack)

    started, cpu = time.monotonic(), cpu_of_children()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth_service", "republish", "--to", target.name, env=os.environ | dict(stack.environ)
    )
    assert await process.wait() == 0
    seconds, used = time.monotonic() - started, cpu_of_children() - cpu

    grown = disk_bytes(stack) - size
    await until(lambda: has_messages(channel, target.name, users))
    assert await messages_of(channel, other.name) == 0
    report(
        f"{users} users into one queue: {seconds:.0f} s, {users / seconds:.0f} a second, "
        f"{grown / 2**20:.0f} MiB on disk, {used:.1f} s CPU of the command"
    )
    for queue in (target, other):
        await queue.delete(if_unused=False, if_empty=False)


async def fill_the_directory(stack: Stack, contacts: "asyncpg.Connection[asyncpg.Record]", users: int) -> None:
    """Let contacts-service find out that its directory is empty, then compare the full one, and report both costs."""
    stack.services["contacts-service"].stop()
    started = time.monotonic()
    environ = {"DIRECTORY_CHECK_SECONDS": "1", "DIRECTORY_SETTLE_SECONDS": "1"}
    stack.launch("contacts-service", label="reconciling", env=environ)
    await until_count(contacts, DIRECTORY, users)
    report(f"{users} users missing in the directory: corrected after {time.monotonic() - started:.0f} s")

    names = ("auth-service", "reconciling")
    round_ends = "select due_at from job_leases"
    await until_changed(contacts, round_ends)
    started, cpu = time.monotonic(), cpu_seconds(stack, names)
    await until_changed(contacts, round_ends)
    used = [after - before for after, before in zip(cpu_seconds(stack, names), cpu, strict=True)]
    report(
        f"{users} users compared: {time.monotonic() - started:.0f} s, "
        f"CPU {used[0]:.1f} s of auth-service and {used[1]:.1f} s of contacts-service"
    )
    stack.services["reconciling"].stop()
    stack.services["contacts-service"].start()


async def put_into_outbox(stack: Stack, published: list[str], count: int) -> None:
    """Put this many events into the outbox of auth-service, and their subjects into ``published``."""
    auth = await connect(stack, "auth")
    for start in range(0, count, 100):
        events = [updated(next(_numbers)) for _ in range(min(100, count - start))]
        await outbox.put(auth, [event for _, event in events])
        published += [subject for subject, _ in events]
    await auth.close()


def updated(user_id: int) -> tuple[str, OutboxMessage]:
    """The subject of an event, and the event."""
    data = UserUpdated(
        user_id=str(user_id), phone_ref="00000000000000ff", phone_masked="1****0", country="86", nickname="name",
        avatar="", discoverable=True, disabled=False, dialect="tel", client="ios",
    )  # fmt: skip
    return data.user_id, new_event(data, source="auth-service", subject=data.user_id, version=1)


async def connect(stack: Stack, name: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(url_of(stack.addresses["POSTGRES_URL"], name))


async def is_consumed(stack: Stack) -> bool:
    """Whether the queue of the printed program has a consumer. By then it is bound too."""
    async with await aio_pika.connect(stack.addresses["AMQP_URL"]) as connection:
        channel = await connection.channel()
        try:
            queue = await channel.declare_queue(QUEUE, passive=True)
        except aio_pika.exceptions.AMQPError:
            return False
        return bool(queue.declaration_result.consumer_count)


async def has_kept(consumer: PrintedConsumer, subjects: Sequence[str]) -> bool:
    return consumer.kept().keys() >= set(subjects)


async def has_messages(channel: Channel, queue: str, count: int) -> bool:
    return await messages_of(channel, queue) == count


async def messages_of(channel: Channel, queue: str) -> int:
    return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 600) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.2)


async def until_count(session: "asyncpg.Connection[asyncpg.Record]", query: str, count: int) -> None:
    async def is_reached() -> bool:
        return bool(await session.fetchval(query) >= count)

    await until(is_reached, 1_500)


async def until_changed(session: "asyncpg.Connection[asyncpg.Record]", query: str) -> None:
    before = await session.fetchval(query)

    async def has_changed() -> bool:
        return bool(await session.fetchval(query) != before)

    await until(has_changed, 1_500)


def cpu_of_children() -> float:
    """The processor time of the child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cpu_seconds(stack: Stack, names: Sequence[str]) -> list[float]:
    """The processor time that each of these processes has used."""
    return [_cpu_seconds(stack.services[name].pid) for name in names]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def disk_bytes(stack: Stack) -> int:
    """What the broker has on disk."""
    return sum(file.stat().st_size for file in (stack.folder.path / "rabbitmq").rglob("*") if file.is_file())


def report(line: str) -> None:
    sys.stdout.write(f"\nevents-check: {line}\n")
