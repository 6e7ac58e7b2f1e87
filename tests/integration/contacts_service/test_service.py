"""contacts-service on real servers: from an event to a match, with two replicas."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import asyncpg
import pytest
from aiohttp import web
from support.monitoring import with_monitoring

from contacts_service.app import create_app
from contacts_service.consumer import QUEUE
from contacts_service.fingerprints import Fingerprints
from contacts_service.settings import ContactsSettings
from shared import amqp
from shared.errors import ErrorCode, ServiceError
from shared.events.catalogue import ContactsMatched, UserDeleted, UserRegistered, UserSnapshot, UserUpdated
from shared.events.envelope import EXCHANGE, OutboxMessage, entry_of, new_event, new_id
from shared.internal_api.client import InternalClient, internal_client
from shared.internal_api.contacts import MATCH, Match, Matched
from shared.phone import E164, PhoneKeys, mask, ref_hex
from shared.postgres import url_of
from shared.redis import client

FOUND_SECONDS = 30.0
"""Every replica finds a registered user within 2 s, and within this limit on a busy machine."""


@dataclass
class Service:
    """Two replicas on one database and one queue, and what a test needs to use them."""

    address: str
    replicas: list[InternalClient]
    publisher: amqp.Publisher
    channel: aio_pika.abc.AbstractChannel
    queue: amqp.Queue
    tables: "asyncpg.Connection[asyncpg.Record]"
    keys: PhoneKeys
    callers: set[str] = field(default_factory=set)

    async def publish(
        self, kind: type[UserSnapshot], user_id: int, phone: str, version: int = 1, **changed: Any
    ) -> None:
        number = E164("+86" + phone)
        snapshot = {
            "user_id": str(user_id),
            "phone_ref": ref_hex(self.keys.ref(number)),
            "phone_masked": mask(number),
            "country": "86",
            "nickname": f"name {user_id}",
            "avatar": "",
            "discoverable": True,
            "disabled": False,
            "dialect": "tel",
            "client": "ios",
        }
        event = new_event(kind(**snapshot | changed), source="auth-service", subject=str(user_id), version=version)
        await self.publisher.publish(event)

    async def match(self, *phones: Any, replica: int = 0, user_id: int | None = None) -> Matched:
        caller = fresh_id() if user_id is None else user_id
        own_phone = own_phone_of(caller)
        self.callers.add(own_phone)
        request = Match(user_id=caller, own_phone="+86" + own_phone, phones=list(phones))
        return await self.replicas[replica].call(MATCH, request)

    async def until(self, found: int, phone: str, replica: int = 0) -> None:
        """Repeat the match until it finds this many members. Fails after ``FOUND_SECONDS``."""
        caller = fresh_id()
        async with asyncio.timeout(FOUND_SECONDS):
            while len((await self.match(phone, replica=replica, user_id=caller)).matches) != found:
                await asyncio.sleep(0.02)


async def delete(channel: aio_pika.abc.AbstractChannel, queue: amqp.Queue) -> None:
    for name in (queue.name, queue.parked, *map(queue.retry_queue, amqp.RETRY_DELAYS)):
        await channel.queue_delete(name)


def fresh_id() -> int:
    return 2**47 + secrets.randbelow(2**52)


def own_phone_of(user_id: int) -> str:
    return f"147{user_id % 10**8:08d}"


def budget_key(keys: PhoneKeys, settings: ContactsSettings, phone: str) -> str:
    """The key in Redis of the budget of a user's number."""
    fingerprints = Fingerprints(bytes.fromhex(settings.phone_key.get_secret_value()), bits=26)
    return f"contacts:{fingerprints.owner(keys.ref(E164('+86' + phone)))}"


def fresh_phone() -> str:
    return f"138{secrets.randbelow(10**8):08d}"


@pytest.fixture(scope="module")
def settings(postgres_url: str, redis_url: str, amqp_url: str, database: str) -> ContactsSettings:
    servers = {"postgres_url": postgres_url, "redis_url": redis_url, "amqp_url": amqp_url}
    return ContactsSettings(environment="development", caller_limits="off", contacts_database=database, **servers)


@asynccontextmanager
async def replica(settings: ContactsSettings, queue: amqp.Queue) -> AsyncIterator[str]:
    """A replica in this process; yields its address."""
    runner = web.AppRunner(with_monitoring(create_app(settings, queue=queue)), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def client_of(settings: ContactsSettings, address: str) -> AbstractAsyncContextManager[InternalClient]:
    return internal_client(address, settings.gateway_to_contacts_token)


async def readiness(address: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"{address}/monitoring/readyz") as response:
        return response.status, await response.json()


@pytest.fixture(scope="module")
async def service(settings: ContactsSettings, redis_url: str) -> AsyncIterator[Service]:
    queue = replace(QUEUE, name=f"test.directory.{secrets.token_hex(4)}")
    tables = await asyncpg.connect(url_of(settings.postgres_url, settings.contacts_database))
    async with (
        amqp.connect(settings.amqp_url, "test") as connection,
        replica(settings, queue) as first,
        replica(settings, queue) as second,
        client_of(settings, first) as first_client,
        client_of(settings, second) as second_client,
    ):
        publisher = await amqp.Publisher.open(connection, "auth")
        keys = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
        channel = await connection.channel()
        running = Service(first, [first_client, second_client], publisher, channel, queue, tables, keys)
        yield running
        await delete(channel, queue)
    await tables.close()
    async with client(redis_url) as redis:
        for phone in running.callers:
            await redis.delete(budget_key(keys, settings, phone))


async def test_every_replica_finds_a_registered_user(service: Service) -> None:
    user_id, phone = fresh_id(), fresh_phone()
    await service.publish(UserRegistered, user_id, phone)

    await asyncio.gather(service.until(1, phone, replica=0), service.until(1, phone, replica=1))

    matched = await service.match("mother", f"+86 {phone}", phone, None)
    assert matched.matches == [
        {"phone": f"+86 {phone}", "user_id": user_id, "nickname": f"name {user_id}", "avatar": ""}
    ]
    assert matched.budget_left == 4_999


async def test_no_replica_finds_hidden_or_deleted_users(service: Service) -> None:
    hiding, leaving = fresh_phone(), fresh_phone()
    ids = fresh_id(), fresh_id()
    await service.publish(UserRegistered, ids[0], hiding)
    await service.publish(UserRegistered, ids[1], leaving)
    await service.until(1, hiding)
    await service.until(1, leaving)

    await service.publish(UserUpdated, ids[0], hiding, 2, discoverable=False)
    await service.publish(UserDeleted, ids[1], leaving, 2)
    await service.publish(UserUpdated, ids[1], leaving, 1)

    for number in (0, 1):
        await service.until(0, hiding, replica=number)
        await service.until(0, leaving, replica=number)


async def test_a_new_number_is_found_and_the_old_one_is_not(service: Service) -> None:
    user_id, old, new = fresh_id(), fresh_phone(), fresh_phone()
    await service.publish(UserUpdated, user_id, new, 2)
    await service.publish(UserRegistered, user_id, old, 1)

    await service.until(1, new)
    await service.until(0, old)


async def test_a_poison_message_is_parked_and_does_not_delay_others(service: Service) -> None:
    user_id, phone = fresh_id(), fresh_phone()
    poison = [b"not json", b'{"specversion": "1.0"}']
    for body in poison:
        await service.publisher.publish(OutboxMessage(new_id(), entry_of(UserRegistered.key), UserRegistered.key, body))
    await service.publish(UserRegistered, user_id, phone)
    await service.until(1, phone)

    parked: list[bytes] = []
    queue = await service.channel.get_queue(service.queue.parked)
    async with asyncio.timeout(30), queue.iterator() as messages:
        async for message in messages:
            await message.ack()
            parked.append(message.body)
            if len(parked) == len(poison):
                break
    assert sorted(parked) == sorted(poison)


async def test_a_match_is_published_as_counts(service: Service) -> None:
    queue = await service.channel.declare_queue(exclusive=True)
    await queue.bind(EXCHANGE, ContactsMatched.key)
    caller = fresh_id()

    await service.match(fresh_phone(), "mother", user_id=caller)

    async with asyncio.timeout(30), queue.iterator() as messages:
        async for message in messages:
            await message.ack()
            event = json.loads(message.body)
            if event["subject"] == str(caller):
                break
    assert event["data"] == {"user_id": str(caller), "submitted": 2, "charged": 1, "matched": 0}


async def test_a_list_that_is_too_long_has_its_own_error_code(service: Service) -> None:
    for count in (2_001, 10_000):
        with pytest.raises(ServiceError) as refusal:
            await service.match(*["+86 138 0013 8000"] * count)
        assert refusal.value.code is ErrorCode.TOO_MANY_CONTACTS

    assert (await service.match(*["+86 138 0013 8000"] * 2_000)).matches == []


async def test_both_replicas_share_a_users_budget(service: Service) -> None:
    caller = fresh_id()
    books = [[f"139{number:08d}" for number in range(start, start + 2_000)] for start in (0, 2_000, 4_000)]

    await service.match(*books[0], user_id=caller, replica=0)
    await service.match(*books[1], user_id=caller, replica=1)
    with pytest.raises(ServiceError) as refusal:
        await service.match(*books[2], user_id=caller, replica=0)

    assert refusal.value.code is ErrorCode.CONTACT_BUDGET
    assert refusal.value.retry_after is not None
    assert (await service.match(*books[0], user_id=caller, replica=1)).matches == []


async def test_a_replica_started_later_finds_every_user(service: Service, settings: ContactsSettings) -> None:
    phone = fresh_phone()
    await service.publish(UserRegistered, fresh_id(), phone)
    await service.until(1, phone)

    async with replica(settings, service.queue) as address, client_of(settings, address) as replica_client:
        third = replace(service, replicas=[replica_client])
        assert len((await third.match(phone)).matches) == 1


class Line:
    """A TCP proxy to a server that a test can cut and restore."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def restore(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, server_writer}
        await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writer))
        self._writers -= {writer, server_writer}

    @staticmethod
    async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # the connection was cut
        finally:
            sink.close()


async def test_matching_works_without_the_broker_and_catches_up_afterwards(
    service: Service, settings: ContactsSettings
) -> None:
    before, meanwhile = fresh_phone(), fresh_phone()
    broker = urlsplit(settings.amqp_url)
    line = Line(broker.hostname or "127.0.0.1", broker.port or 5672)
    await line.restore()
    queue = replace(QUEUE, name=f"test.directory.{secrets.token_hex(4)}")
    url = broker._replace(netloc=f"{broker.username}:{broker.password}@127.0.0.1:{line.port}").geturl()
    try:
        cut_off = settings.model_copy(update={"amqp_url": url})
        async with replica(cut_off, queue) as address, client_of(settings, address) as replica_client:
            single = replace(service, replicas=[replica_client])
            await service.publish(UserRegistered, fresh_id(), before)
            await single.until(1, before)

            await line.cut()
            assert len((await single.match(before)).matches) == 1
            assert (await readiness(address))[0] == 200
            # Another replica applies this event; the disconnected one reads it from the table.
            await service.publish(UserRegistered, fresh_id(), meanwhile)
            await single.until(1, meanwhile)

            await line.restore()
            async with asyncio.timeout(30):
                while not await consumed(service, queue):
                    await asyncio.sleep(0.05)
            assert len((await single.match(before, meanwhile)).matches) == 2
    finally:
        await line.cut()
        await delete(service.channel, queue)


async def consumed(service: Service, queue: amqp.Queue) -> bool:
    """Whether the queue has a consumer again and is empty."""
    channel = await service.channel.get_underlay_channel()
    state = await channel.queue_declare(queue.name, passive=True)
    return bool(state.consumer_count) and not state.message_count


async def test_no_clear_number_is_stored(service: Service, settings: ContactsSettings, redis_url: str) -> None:
    member, stranger, caller = fresh_phone(), fresh_phone(), fresh_id()
    await service.publish(UserRegistered, fresh_id(), member)
    await service.until(1, member)
    await service.match(member, stranger, user_id=caller)

    stored = [
        str([bytes(value) if isinstance(value, bytes) else value for value in row.values()])
        for (table,) in await service.tables.fetch("select tablename from pg_tables where schemaname = 'public'")
        for row in await service.tables.fetch(f'select * from "{table}"')
    ]
    async with client(redis_url) as redis:
        key = budget_key(service.keys, settings, own_phone_of(caller))
        budget = str([key, *(await redis.hgetall(key)).items()])

    assert "seen26" in budget
    for phone in (member, stranger, own_phone_of(caller)):
        assert not [text for text in [*stored, budget] if phone in text]
        ref = service.keys.ref(E164("+86" + phone)).to_bytes(8, "big", signed=True)
        assert ref.hex() not in budget
        assert str(ref)[2:-1] not in budget


async def test_a_number_that_is_registered_again_keeps_what_is_left_of_its_budget(
    service: Service, settings: ContactsSettings, redis_url: str
) -> None:
    first = fresh_id()
    again, own = first + 10**8, own_phone_of(first)
    book = [f"137{number:08d}" for number in range(1_500)]
    await service.publish(UserRegistered, first, own)
    left = (await service.match(*book, user_id=first)).budget_left
    assert 3_500 <= left <= 3_505  # few of the numbers may share a fingerprint with another

    await service.publish(UserDeleted, first, own, 2)
    async with client(redis_url) as redis, asyncio.timeout(FOUND_SECONDS):
        key = budget_key(service.keys, settings, own)
        while await redis.hexists(key, "seen26"):
            await asyncio.sleep(0.02)
        assert sorted(await redis.hkeys(key)) == [b"at", b"spent"]
    await service.publish(UserRegistered, again, own)

    assert (await service.match(book[0], user_id=again)).budget_left == left - 1


async def test_readiness_does_not_depend_on_the_broker(service: Service) -> None:
    checks = dict.fromkeys(("bindings", "postgresql", "redis"), "ok")
    assert await readiness(service.address) == (200, {"ready": True, "checks": checks})


async def test_calls_without_a_token_are_refused(service: Service) -> None:
    async with aiohttp.ClientSession() as stranger, stranger.post(service.address + MATCH.path) as response:
        assert response.status == 401
