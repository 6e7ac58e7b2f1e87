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
from shared.amqp.consumer import REASON
from shared.events.catalogue import EVENTS
from shared.events.envelope import EXCHANGE, OutboxMessage, entry_of, new_id, to_queue
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
WORD = {"auth-service": "auth", "sms-service": "sms", "contacts-service": "contacts"}
"""The first word of the keys of each service's events."""
FORGED = "auth.user.deleted.v1"
SPARE = {
    "auth-service": entry_of("auth"),
    "sms-service": f"{SEND_COMMANDS.name}.spare",
    "contacts-service": f"{DIRECTORY.name}.spare",
}
"""A name under which a service may declare what it does not need. Rights do not tell queues from exchanges."""
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


async def hear_by_queue(channel: AbstractChannel, exchange: str, name: str) -> None:
    queue = await channel.declare_queue(name, exclusive=True)
    await queue.bind(exchange, "#")


async def hear_by_exchange(channel: AbstractChannel, exchange: str, own: str) -> None:
    await (await channel.get_exchange(own, ensure=False)).bind(exchange, "#")


async def forge_by_exchange(channel: AbstractChannel, exchange: str, own: str) -> None:
    await (await channel.get_exchange(exchange, ensure=False)).bind(own, FORGED)


async def forge_by_dead_letter(channel: AbstractChannel, exchange: str, name: str) -> None:
    target = {"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": FORGED}
    await channel.declare_queue(name, exclusive=True, arguments={"x-message-ttl": 1} | target)


async def forge_by_alternate(channel: AbstractChannel, exchange: str, name: str) -> None:
    await channel.declare_exchange(name, auto_delete=True, arguments={"alternate-exchange": exchange})


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
            await amqp.Publisher.open(bus, WORD[process])
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
        publisher = await amqp.Publisher.open(bus, WORD[process])
        for event in EVENTS:
            if event.key.startswith(f"{WORD[process]}."):
                await publisher.publish(message(entry_of(event.key), event.key))
    async with connected(servers, process) as connection:
        for event in EVENTS:
            await refused(connection, publish, EXCHANGE, event.key)
            if not event.key.startswith(f"{WORD[process]}."):
                for word in WORD.values():
                    await refused(connection, publish, entry_of(word), event.key)


@pytest.mark.parametrize("process", OWN)
@pytest.mark.usefixtures("declared")
async def test_a_service_hears_nothing_where_another_one_publishes(servers: Stack, process: str) -> None:
    async with connected(servers, process) as connection:
        for word in set(WORD.values()) - {WORD[process]}:
            await refused(connection, hear_by_queue, entry_of(word), SPARE[process])
            await refused(connection, hear_by_exchange, entry_of(word), entry_of(WORD[process]))
        await refused(connection, hear_by_queue, EXCHANGE, SPARE[process])
        await refused(connection, hear_by_exchange, EXCHANGE, entry_of(WORD[process]))


async def test_no_binding_dead_letter_or_alternate_of_a_service_leads_to_where_another_one_publishes(
    own_broker: Stack,
) -> None:
    """The broker looks at the right to an alternate only if the exchange is new, so nothing is declared before."""
    for process, word in WORD.items():
        async with connected(own_broker, process) as connection:
            for foreign in set(WORD.values()) - {word}:
                await refused(connection, forge_by_exchange, entry_of(foreign), entry_of(word))
                for forge in (forge_by_dead_letter, forge_by_alternate):
                    await refused(connection, forge, entry_of(foreign), SPARE[process])


async def forge_in_every_way(channel: AbstractChannel, body: bytes) -> int:
    """Send ``body`` with the key of another service's event, by all that contacts-service may do. Returns how often."""
    spare, entry = SPARE["contacts-service"], entry_of("contacts")
    events = await channel.get_exchange(EXCHANGE, ensure=False)
    fanout = await channel.declare_exchange(f"{spare}.forge", aio_pika.ExchangeType.FANOUT, auto_delete=True)
    await events.bind(fanout)
    await fanout.publish(aio_pika.Message(body), FORGED)
    target = {"x-message-ttl": 1, "x-dead-letter-exchange": EXCHANGE, "x-dead-letter-routing-key": FORGED}
    dying = await channel.declare_queue(spare, exclusive=True, arguments=target)
    await dying.bind(DIRECTORY.name, spare)
    opened = await channel.get_exchange(DIRECTORY.name, ensure=False)
    await opened.publish(aio_pika.Message(body), spare)
    for header in ("CC", "BCC"):
        own = await channel.get_exchange(entry, ensure=False)
        await own.publish(aio_pika.Message(body, headers={header: [FORGED]}), "contacts.matched.v1")
    return 4


async def test_what_another_service_forged_is_parked_and_not_handled(own_broker: Stack) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()
    sms, auth = (str(own_broker.servers.rabbitmq.url_as(process)) for process in ("sms-service", "auth-service"))
    contacts = str(own_broker.servers.rabbitmq.url_as("contacts-service"))
    async with amqp.connect(sms, "sms") as consuming, amqp.connect(contacts, "contacts") as forging:
        consumer = amqp.Consumer(ERASURE, received.put, await amqp.Publisher.open(consuming, "sms"))
        await amqp.Publisher.open(forging, "contacts")
        await amqp.declare(await forging.channel(), DIRECTORY)
        async with consumer.running(consuming), connected(own_broker, "contacts-service") as connection:
            forged = await forge_in_every_way(await connection.channel(), b"forged")
            parked = await (await consuming.channel()).get_queue(ERASURE.parked)
            async with asyncio.timeout(60):
                for _ in range(forged):
                    while (found := await parked.get(fail=False)) is None:
                        await asyncio.sleep(0.05)
                    assert str(found.headers[REASON]).startswith("forged: it came by ")
                    await found.ack()
            async with amqp.connect(auth, "auth") as bus, asyncio.timeout(60):
                publisher = await amqp.Publisher.open(bus, "auth")
                await publisher.publish(OutboxMessage(new_id(), entry_of("auth"), FORGED, b"genuine"))
                assert await received.get() == b"genuine"
        assert received.empty()


@pytest.mark.usefixtures("declared")
async def test_only_an_operator_republishes_into_the_queue_of_a_consumer(servers: Stack) -> None:
    event = to_queue(message(entry_of("auth"), "auth.user.updated.v1"), DIRECTORY.parked)
    url = servers.servers.rabbitmq.url_as("auth-service")
    assert url is not None
    async with amqp.connect(url, "test") as bus:
        publisher = await amqp.Publisher.open(bus, "auth")
        with pytest.raises(ConnectionError, match="the user of AMQP_URL may not publish this"):
            await publisher.publish(event)
    async with amqp.connect(servers.addresses["AMQP_URL"], "test") as bus:
        await (await amqp.Publisher.open(bus, "auth")).publish(event)
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
        for name in (
            "stolen",
            "contacts.other",
            "sms.other",
            "eventsx",
            "events.other",
            "events.entry",
            "my-service.users",
        ):
            await refused(connection, declare_queue, "", name)
            await refused(connection, declare_exchange, name, "")


async def test_a_rested_message_returns_by_the_exchange_of_its_queue(own_broker: Stack) -> None:
    url = own_broker.servers.rabbitmq.url_as("contacts-service")
    assert url is not None
    async with amqp.connect(url, "test") as bus:
        publisher = await amqp.Publisher.open(bus, "contacts")
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
            await refused(connection, publish, entry_of(event.key), event.key)
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
