"""RabbitMQ: what the user of each service may declare, publish and read."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelAccessRefused
from stack.folder import ROOT
from stack.roles.catalogue import FOLDER
from stack.servers import rabbitmq
from stack.system import Stack

from contacts_service.consumer import QUEUE as DIRECTORY
from shared import amqp
from shared.events.catalogue import EVENTS
from shared.events.envelope import ENTRY, EXCHANGE, OutboxMessage, new_id, to_queue
from sms_service.delivery.consumer import SEND_COMMANDS
from sms_service.erasure.consumer import QUEUE as ERASURE

pytestmark = pytest.mark.timeout(400)  # on a busy machine each command of the broker takes many seconds

Act = Callable[[AbstractChannel, str, str], Awaitable[None]]
OWN: dict[str, list[amqp.Queue]] = {
    "auth-service": [],
    "sms-service": [SEND_COMMANDS, ERASURE],
    "contacts-service": [DIRECTORY],
}
QUEUES = [queue for queues in OWN.values() for queue in queues]
PREFIX = {"auth-service": "auth.", "sms-service": "sms.", "contacts-service": "contacts."}
FOREIGN = [(process, queue) for process, queues in OWN.items() for queue in QUEUES if queue not in queues]


def names(queue: amqp.Queue) -> list[str]:
    """The queues of a consumer; the first one has the name of its exchange."""
    return [queue.name, queue.parked, *map(queue.retry_queue, amqp.RETRY_DELAYS)]


def message(exchange: str, key: str) -> OutboxMessage:
    return OutboxMessage(new_id(), exchange, key, b"{}")


@asynccontextmanager
async def connected(servers: Stack, process: str) -> AsyncIterator[AbstractConnection]:
    url = servers.servers.rabbitmq.url_as(process)
    assert url is not None
    async with await aio_pika.connect(url) as connection:
        yield connection


async def refused(connection: AbstractConnection, act: Act, exchange: str, name: str) -> None:
    """The broker closes the channel with ACCESS_REFUSED."""
    channel = await connection.channel()
    async with asyncio.timeout(30):
        with pytest.raises(ChannelAccessRefused):
            await act(channel, exchange, name)


async def declare_exchange(channel: AbstractChannel, exchange: str, _: str) -> None:
    await channel.declare_exchange(exchange, durable=True)


async def declare_queue(channel: AbstractChannel, _: str, name: str) -> None:
    await channel.declare_queue(name, durable=True)


async def get(channel: AbstractChannel, _: str, name: str) -> None:
    await (await channel.get_queue(name, ensure=False)).get(fail=False)


async def ignore(_: AbstractIncomingMessage) -> None:
    """Leave a message unacknowledged."""


async def consume(channel: AbstractChannel, _: str, name: str) -> None:
    await (await channel.get_queue(name, ensure=False)).consume(ignore)


async def empty(channel: AbstractChannel, _: str, name: str) -> None:
    await (await channel.get_queue(name, ensure=False)).purge()


async def delete(channel: AbstractChannel, _: str, name: str) -> None:
    await channel.queue_delete(name)


async def bind(channel: AbstractChannel, exchange: str, name: str) -> None:
    await (await channel.get_queue(name, ensure=False)).bind(exchange, name)


async def publish(channel: AbstractChannel, exchange: str, key: str) -> None:
    await (await channel.get_exchange(exchange, ensure=False)).publish(aio_pika.Message(b"{}"), key)


async def publish_by_default(channel: AbstractChannel, _: str, name: str) -> None:
    await channel.default_exchange.publish(aio_pika.Message(b"{}"), name)


@pytest.fixture
def own_broker() -> Iterator[Stack]:
    """A broker without any of our processes, which would consume what a test waits for."""
    with Stack.private() as stack:
        stack.servers.rabbitmq.start()
        yield stack


@pytest.fixture
async def declared(servers: Stack) -> None:
    """Every queue is declared and every exchange, each by the user of its service."""
    for process, queues in OWN.items():
        url = servers.servers.rabbitmq.url_as(process)
        assert url is not None
        async with amqp.connect(url, "test") as bus:
            await amqp.Publisher.open(bus)
            for queue in queues:
                await amqp.declare(await bus.channel(), queue)


@pytest.mark.parametrize(("process", "queue"), FOREIGN, ids=lambda value: getattr(value, "name", value))
@pytest.mark.usefixtures("declared")
async def test_a_service_can_neither_read_nor_fill_nor_empty_the_queue_of_another(
    servers: Stack, process: str, queue: amqp.Queue
) -> None:
    async with connected(servers, process) as connection:
        for name in names(queue):
            for act in (get, consume, empty, delete, bind, publish, publish_by_default):
                await refused(connection, act, queue.name, name)


@pytest.mark.parametrize("process", OWN)
@pytest.mark.usefixtures("declared")
async def test_a_service_publishes_its_own_events_only(servers: Stack, process: str) -> None:
    url = servers.servers.rabbitmq.url_as(process)
    assert url is not None
    async with amqp.connect(url, "test") as bus:
        publisher = await amqp.Publisher.open(bus)
        for event in EVENTS:
            if event.key.startswith(PREFIX[process]):
                await publisher.publish(message(ENTRY, event.key))
    async with connected(servers, process) as connection:
        for event in EVENTS:
            await refused(connection, publish, EXCHANGE, event.key)
            if not event.key.startswith(PREFIX[process]):
                await refused(connection, publish, ENTRY, event.key)


@pytest.mark.usefixtures("declared")
async def test_only_an_operator_republishes_into_the_queue_of_a_consumer(servers: Stack) -> None:
    event = to_queue(message(ENTRY, "auth.user.updated.v1"), DIRECTORY.parked)
    url = servers.servers.rabbitmq.url_as("auth-service")
    assert url is not None
    async with amqp.connect(url, "test") as bus:
        publisher = await amqp.Publisher.open(bus)
        with pytest.raises(ConnectionError, match="the user of AMQP_URL may not publish this"):
            await publisher.publish(event)
    async with amqp.connect(servers.addresses["AMQP_URL"], "test") as bus:
        await (await amqp.Publisher.open(bus)).publish(event)
        await (await (await bus.channel()).get_queue(DIRECTORY.parked)).purge()


@pytest.mark.parametrize("queue", [DIRECTORY, ERASURE], ids=lambda queue: queue.name)
@pytest.mark.usefixtures("declared")
async def test_a_consumer_binds_to_the_events_that_it_handles_only(servers: Stack, queue: amqp.Queue) -> None:
    process = next(process for process, queues in OWN.items() if queue in queues)
    async with connected(servers, process) as connection:
        for key in ("#", "auth.#", "auth.user.*.v1", "auth.session.opened.v1", "sms.message.sent.v1"):
            channel = await connection.channel()
            opened = await channel.get_queue(queue.name, ensure=False)
            with pytest.raises(ChannelAccessRefused):
                await opened.bind(EXCHANGE, key)


@pytest.mark.parametrize("process", OWN)
async def test_a_service_declares_nothing_else(servers: Stack, process: str) -> None:
    async with connected(servers, process) as connection:
        for name in ("stolen", "contacts.other", "sms.other", "eventsx", "events.other", "my-service.users"):
            await refused(connection, declare_queue, "", name)
            await refused(connection, declare_exchange, name, "")


async def test_a_rested_message_returns_by_the_exchange_of_its_queue(own_broker: Stack) -> None:
    url = own_broker.servers.rabbitmq.url_as("contacts-service")
    assert url is not None
    async with amqp.connect(url, "test") as bus:
        publisher = await amqp.Publisher.open(bus)
        await amqp.declare(await bus.channel(), DIRECTORY)
        await publisher.publish(message(DIRECTORY.name, DIRECTORY.retry_queue(1)))
        channel = await bus.channel(publisher_confirms=False)
        queue = await channel.get_queue(DIRECTORY.name, ensure=False)
        async with queue.iterator(timeout=60) as messages:
            returned = await anext(messages)
            await returned.ack()
        assert returned.body == b"{}"


async def test_the_user_that_every_new_broker_has_does_not_exist(servers: Stack) -> None:
    address = servers.servers.rabbitmq.url.rpartition("@")[2]
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(f"amqp://guest:guest@{address}")


@pytest.fixture
def consumer_url(servers: Stack) -> Iterator[str]:
    """The address for the user that docs/events.md makes for a consumer, by the commands on that page."""
    page = (ROOT / "docs" / "events.md").read_text()
    section = page.partition("## An AMQP user for your consumer")[2]
    script = re.search(r"```shell\n(.*?)```", section, re.DOTALL)
    assert script is not None
    server = servers.servers.rabbitmq
    environ = {**server.process.env, "PATH": f"{rabbitmq.script().parent}:{server.process.env['PATH']}"}
    subprocess.run(["sh", "-e", "-c", script[1]], env=environ, input="consumers-password\n", text=True, check=True)
    yield f"amqp://my-service:consumers-password@{server.url.rpartition('@')[2]}"
    subprocess.run(["rabbitmqctl", "--quiet", "delete_user", "my-service"], env=environ, check=True)


@pytest.mark.usefixtures("declared")
async def test_the_user_of_a_consumer_reads_events_and_no_queue_of_ours(consumer_url: str) -> None:
    async with await aio_pika.connect(consumer_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("my-service.users", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(EXCHANGE, "auth.user.*.v1")
        await queue.consume(ignore)
        for event in EVENTS:
            await refused(connection, publish, EXCHANGE, event.key)
            await refused(connection, publish, ENTRY, event.key)
        for ours in (name for queue in QUEUES for name in names(queue)):
            for act in (get, consume, empty, delete, publish_by_default):
                await refused(connection, act, "", ours)
        await channel.queue_delete("my-service.users")


def test_no_user_of_a_service_is_an_administrator_and_each_permission_is_a_whole_name() -> None:
    definitions = json.loads((FOLDER / "rabbitmq.json").read_text())

    assert [user["tags"] for user in definitions["users"]] == [[]] * 4
    patterns = {
        permission["user"]: [permission[kind] for kind in ("configure", "write", "read")]
        for permission in definitions["permissions"]
    }
    for user, allowed in patterns.items():
        process = user.replace("_", "-")
        for queue in QUEUES:
            for name in names(queue):
                own = user == "operator" or queue in OWN[process]
                assert [bool(re.search(pattern, name)) for pattern in allowed] == [own] * 3
