"""docs/events.md: its consumers run as printed and lose nothing, and its table has every event and field."""

import asyncio
import json
import re
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from stack.servers.rabbitmq import RabbitMQ, script
from stack.system import Stack
from support.app import App, fresh_number
from support.printed_consumer import DEAD, PAGE, QUEUE, PrintedConsumer, printed
from support.tools import node_modules, node_package

from shared.events.catalogue import EVENTS
from shared.events.envelope import EXCHANGE

Channel = aio_pika.abc.AbstractChannel


@pytest.fixture
async def channel(system: Stack) -> AsyncIterator[Channel]:
    """A channel of the test's own. The queues of the consumer are deleted afterwards."""
    async with await aio_pika.connect(system.addresses["AMQP_URL"]) as connection:
        channel = await connection.channel()
        yield channel
        for queue in (QUEUE, DEAD):
            await channel.queue_delete(queue)
        await channel.exchange_delete(DEAD)


@pytest.fixture(params=["python", "javascript"])
def consumer(request: pytest.FixtureRequest, system: Stack, tmp_path: Path) -> PrintedConsumer:
    if request.param == "javascript":
        (tmp_path / "node_modules").symlink_to(node_modules())
        assert f"`npm install amqplib@{node_package('amqplib')}`" in PAGE
    return PrintedConsumer(request.param, tmp_path, system.addresses["AMQP_URL"])


async def publish(channel: Channel, subject: str, version: int = 1, kind: str = "auth.user.updated.v1") -> None:
    exchange = await channel.get_exchange(EXCHANGE)
    event = {"subject": subject, "type": kind, "version": version, "data": {"nickname": f"version {version}"}}
    await exchange.publish(aio_pika.Message(json.dumps(event).encode()), kind)


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    end = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        await asyncio.sleep(0.05)


async def until_bound(system: Stack) -> None:
    """Wait until the queue has a consumer. By then it is bound too."""

    async def is_consumed() -> bool:
        async with await aio_pika.connect(system.addresses["AMQP_URL"]) as connection:
            channel = await connection.channel()
            try:
                queue = await channel.declare_queue(QUEUE, passive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                return False
            return bool(queue.declaration_result.consumer_count)

    await until(is_consumed)


async def until_kept(consumer: PrintedConsumer, *subjects: str) -> None:
    async def has_all() -> bool:
        return consumer.kept().keys() >= set(subjects)

    await until(has_all)


@pytest.mark.usefixtures("channel")
async def test_the_printed_consumer_keeps_a_copy_of_the_users(
    app: App, system: Stack, consumer: PrintedConsumer
) -> None:
    async with consumer.running():
        await until_bound(system)
        user = await app.register(fresh_number(), "secret123")
        subject = str(user["userId"])
        await until_kept(consumer, subject)
    copy = consumer.kept()[subject]
    assert (copy["nickname"], copy["version"], copy["gone"]) == (user["nickName"], 1, False)


async def test_the_printed_consumer_ignores_late_and_repeated_events(
    system: Stack, consumer: PrintedConsumer, channel: Channel
) -> None:
    async with consumer.running():
        await until_bound(system)
        await publish(channel, "first", 7, "auth.user.deleted.v1")
        await publish(channel, "first", 7, "auth.user.deleted.v1")
        await publish(channel, "first", 6)
        await publish(channel, "last")
        await until_kept(consumer, "last")
    assert consumer.kept()["first"] == {"version": 7, "gone": True, "nickname": "version 7"}


async def test_the_printed_consumer_raises_twice_and_then_handles_the_event(
    system: Stack, consumer: PrintedConsumer, channel: Channel
) -> None:
    async with consumer.running(failures=2):
        await until_bound(system)
        await publish(channel, "first")
        await until_kept(consumer, "first")


async def test_a_killed_consumer_loses_nothing(system: Stack, consumer: PrintedConsumer, channel: Channel) -> None:
    subjects = [f"user {number}" for number in range(120)]
    async with consumer.running(die_at=7) as process:
        await until_bound(system)
        for subject in subjects:
            await publish(channel, subject)
        await process.wait()
    assert 7 <= len(consumer.kept()) < 120
    async with consumer.running():
        await until_kept(consumer, *subjects)


async def test_a_deleted_binding_is_declared_again(system: Stack, consumer: PrintedConsumer, channel: Channel) -> None:
    async with consumer.running():
        await until_bound(system)
        await (await channel.get_queue(QUEUE)).unbind(EXCHANGE, "auth.user.*.v1")

        async def is_received() -> bool:
            await publish(channel, "after")
            return "after" in consumer.kept()

        await until(is_received)


async def test_a_poison_message_goes_to_the_dead_letter_queue(
    system: Stack, consumer: PrintedConsumer, channel: Channel
) -> None:
    async with consumer.running():
        await until_bound(system)
        await channel.default_exchange.publish(aio_pika.Message(b"no event"), QUEUE)
        await publish(channel, "behind it")
        await until_kept(consumer, "behind it")
        dead: list[aio_pika.abc.AbstractIncomingMessage] = []

        async def is_dead() -> bool:
            queue = await channel.declare_queue(DEAD, passive=True)
            dead.extend(message for message in [await queue.get(fail=False, no_ack=True)] if message)
            return bool(dead)

        await until(is_dead)
    assert dead[0].body == b"no event"
    (death,) = dead[0].headers["x-death"]
    assert (death["reason"], death["queue"]) == ("delivery_limit", QUEUE)


@pytest.fixture
async def own_user(system: Stack) -> AsyncIterator[str]:
    """The address of the broker for the AMQP user that the page makes, with a password of this test."""
    server = system.servers.rabbitmq
    if not isinstance(server, RabbitMQ):
        pytest.skip("the broker is not ours, so it gets no user")
    (commands,) = re.findall(r"```shell\n(rabbitmqctl add_user my-service .*?)```", PAGE, re.DOTALL)
    program, password = script().with_name("rabbitmqctl"), secrets.token_hex(12)
    await rabbitmqctl(f'rabbitmqctl() {{ "{program}" --quiet "$@"; }}; set -e; {commands}', server, password)
    yield server.url.replace(urlsplit(server.url).netloc.partition("@")[0], f"my-service:{password}")
    await rabbitmqctl(f'"{program}" --quiet delete_user my-service', server, "")


async def rabbitmqctl(commands: str, server: RabbitMQ, password: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", commands, env=dict(server.process.env), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(f"{password}\n".encode())
    assert process.returncode == 0, output.decode()


async def read_the_directory_queue(own: Channel) -> None:
    await (await own.get_queue("contacts.directory", ensure=False)).get()


async def test_the_user_of_the_page_reads_events_and_may_do_nothing_else(
    system: Stack, channel: Channel, tmp_path: Path, own_user: str
) -> None:
    consumer = PrintedConsumer("python", tmp_path, own_user)
    async with consumer.running():
        await until_bound(system)
        await publish(channel, "seen")
        await until_kept(consumer, "seen")

    async with await aio_pika.connect(own_user) as connection:
        for forbidden in (
            read_the_directory_queue,
            lambda own: own.declare_queue("another.queue"),
            lambda own: publish(own, "forged"),
            lambda own: own.exchange_delete(EXCHANGE),
        ):
            own = await connection.channel(on_return_raises=True)
            with pytest.raises(aio_pika.exceptions.ChannelClosed, match="ACCESS_REFUSED"):
                await forbidden(own)


def test_the_page_has_every_event_and_every_field() -> None:
    table = PAGE[PAGE.index("## The events") :]
    assert set(re.findall(r"`((?:auth|sms|contacts)\.[a-z.]+\.v\d)`", table)) == {event.key for event in EVENTS}
    assert {name for event in EVENTS for name in event.model_fields} - set(re.findall(r"`(\w+)`", table)) == set()


def test_the_printed_consumers_are_short() -> None:
    for language, lines in (("python", 45), ("javascript", 60)):
        assert len([line for line in printed(language).splitlines() if line.strip()]) <= lines
