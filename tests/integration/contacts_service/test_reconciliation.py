"""The directory heals itself: auth-service and two replicas of contacts-service on real servers."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import aio_pika
import asyncpg
import pytest
from aiohttp.test_utils import TestServer
from support.auth import Auth, fresh_number, fresh_secret, running

from contacts_service.app import create_app
from contacts_service.consumer import QUEUE
from contacts_service.reconciliation.model import Difference
from contacts_service.reconciliation.reconciler import HEALED
from contacts_service.reconciliation.store import ReconciliationStore, RoundLeaseStore
from contacts_service.settings import ContactsSettings
from shared import amqp
from shared.events.catalogue import UserUpdated
from shared.events.envelope import EXCHANGE, new_id
from shared.internal_api.auth import CHANGE_PROFILE, ChangeProfile
from shared.internal_api.directory import DirectoryUser, VersionedUser
from shared.postgres import Pool, connection, pool, url_of

DUE_AT = "select due_at from job_leases"
SHOWN = "select phone_ref, nickname, visible from directory where user_id = $1"
ADD_BY_HAND = """
    insert into directory (user_id, phone_ref, nickname, avatar, visible, version, occurred_at)
    values ($1, 1, 'by hand', '', true, 1, now())
"""
ROWS = "select count(*) from directory where user_id = any ($1::bigint[]) and phone_ref is not null"


@dataclass
class World:
    auth: Auth
    tables: "asyncpg.Connection[asyncpg.Record]"
    queue: amqp.Queue
    channel: aio_pika.abc.AbstractChannel

    async def register(self, count: int) -> list[int]:
        """New users, whom the directory shows."""
        users = [await self.auth.register(fresh_number(), fresh_secret()) for _ in range(count)]
        ids = [user.account.user_id for user in users]
        await until(lambda: self.tables.fetchval(ROWS, ids), len(ids))
        return ids

    async def rename(self, user_id: int, nickname: str) -> None:
        await self.auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id, nickname=nickname))

    async def unbind(self) -> None:
        for key in QUEUE.keys:
            await (await self.channel.get_queue(self.queue.name)).unbind(EXCHANGE, key)

    async def until_shown(self, user_id: int, nickname: str, *, is_erased: bool = False) -> None:
        await until(lambda: self.shown(user_id), (nickname, not is_erased))

    async def until_compared(self) -> None:
        """Wait until a round has ended that began after this call."""
        for _ in range(2):
            due_at = await self.tables.fetchval(DUE_AT)
            await until(partial(self.tables.fetchval, "select due_at > $1 from job_leases", due_at), expected=True)

    async def shown(self, user_id: int) -> tuple[str, bool] | None:
        row = await self.tables.fetchrow(SHOWN, user_id)
        return (row["nickname"], row["phone_ref"] is not None) if row else None


async def until(read: Callable[[], Awaitable[Any]], expected: object) -> None:
    """Read until it is what we expect; at most a minute, on a busy machine."""
    async with asyncio.timeout(60):
        while await read() != expected:
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
async def auth(postgres_url: str, amqp_url: str) -> AsyncIterator[Auth]:
    async with running(postgres_url, amqp_url) as auth:
        yield auth


@pytest.fixture
async def world(auth: Auth, postgres_url: str, redis_url: str, amqp_url: str, database: str) -> AsyncIterator[World]:
    """Two replicas that compare every second, and look again after two seconds."""
    settings = ContactsSettings(
        environment="development",
        postgres_url=postgres_url,
        redis_url=redis_url,
        amqp_url=amqp_url,
        auth_url=auth.url,
        contacts_database=database,
        directory_check_seconds=1,
        directory_settle_seconds=2,
    )
    queue = replace(QUEUE, name=f"test.directory.{secrets.token_hex(4)}")
    tables = await asyncpg.connect(url_of(postgres_url, database))
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        async with TestServer(create_app(settings, queue=queue)), TestServer(create_app(settings, queue=queue)):
            yield World(auth, tables, queue, channel)
        for name in (queue.name, queue.parked, *map(queue.retry_queue, amqp.RETRY_DELAYS)):
            await channel.queue_delete(name)
    await tables.close()


async def test_users_changed_by_hand_are_right_again(world: World) -> None:
    renamed, hidden, numbered, removed, advanced, erased = await world.register(6)
    before = {each: await world.tables.fetchrow(SHOWN, each) for each in (renamed, hidden, numbered, removed, advanced)}
    by_hand = (
        ("update directory set nickname = 'by hand' where user_id = $1", renamed),
        ("update directory set visible = false where user_id = $1", hidden),
        ("update directory set phone_ref = 1 where user_id = $1", numbered),
        ("delete from directory where user_id = $1", removed),
        ("update directory set nickname = 'ahead', version = 1000 where user_id = $1", advanced),
        ("update directory set phone_ref = null, visible = false, version = 2147483647 where user_id = $1", erased),
    )
    for statement, user_id in by_hand:
        await world.tables.execute(statement, user_id)

    for user_id, row in before.items():
        await until(partial(world.tables.fetchrow, SHOWN, user_id), row)
    await until(lambda: world.tables.fetchval(ROWS, [erased]), 1)


async def test_rows_with_the_id_of_no_account_are_erased(world: World) -> None:
    ids = [-(2**63), -1, 0, 2**63 - 1]
    for user_id in ids:
        await world.tables.execute(ADD_BY_HAND, user_id)

    await until(lambda: world.tables.fetchval(ROWS, ids), 0)


async def test_changes_that_passed_a_deleted_binding_by_are_found(world: World) -> None:
    ids = await world.register(6)
    await world.unbind()

    for user_id in ids[:4]:
        await world.rename(user_id, "unseen")
    for user_id in ids[4:]:
        await world.auth.erase(user_id)
    newcomer = await world.auth.register(fresh_number(), fresh_secret())

    for user_id in ids[:4]:
        await world.until_shown(user_id, "unseen")
    for user_id in ids[4:]:
        await world.until_shown(user_id, "", is_erased=True)
    await world.until_shown(newcomer.account.user_id, newcomer.account.nickname)


async def test_parked_messages_are_made_good(world: World) -> None:
    ids = await world.register(6)
    await world.unbind()  # as if each message had failed four times: it is parked, and not in the directory
    parked = await world.channel.get_queue(world.queue.parked)
    await parked.bind(EXCHANGE, UserUpdated.key)
    for user_id in ids:
        await world.rename(user_id, "parked")

    for user_id in ids:
        await world.until_shown(user_id, "parked")
    assert (await world.channel.declare_queue(world.queue.parked, passive=True)).declaration_result.message_count == 6


async def test_a_directory_from_an_old_backup_catches_up(world: World) -> None:
    ids = await world.register(6)
    await world.tables.execute("create table backup as select * from directory")
    for user_id in ids[:3]:
        await world.rename(user_id, "after the backup")
    await world.auth.erase(ids[3])
    later = await world.register(2)
    await world.until_shown(ids[3], "", is_erased=True)

    await world.tables.execute("begin; delete from directory; insert into directory select * from backup; commit")

    for user_id in ids[:3]:
        await world.until_shown(user_id, "after the backup")
    await world.until_shown(ids[3], "", is_erased=True)
    await until(lambda: world.tables.fetchval(ROWS, later), 2)
    await world.tables.execute("drop table backup")


async def test_an_empty_directory_is_filled_and_other_consumers_receive_nothing(world: World) -> None:
    ids = await world.register(3)
    sentinel = await world.auth.register(fresh_number(), fresh_secret())
    await world.auth.listener.of_user(sentinel.account.user_id, 2)
    before = len(world.auth.listener.events)

    await world.tables.execute("delete from directory")

    await until(lambda: world.tables.fetchval(ROWS, ids), 3)
    last = await world.auth.register(fresh_number(), fresh_secret())
    await world.auth.listener.of_user(last.account.user_id, 2)
    last_id = str(last.account.user_id)
    others = [event["type"] for event in world.auth.listener.events[before:] if event["data"]["user_id"] != last_id]
    assert others == []


async def test_changes_that_arrive_as_events_are_not_corrections(world: World) -> None:
    (user_id,) = await world.register(1)
    await world.until_compared()
    corrected = corrections()

    for version in range(50):
        await world.rename(user_id, f"name {version}")

    await world.until_shown(user_id, "name 49")
    await world.until_compared()
    assert corrections() == corrected


async def test_a_round_belongs_to_one_replica(postgres_url: str, database: str) -> None:
    async with pool(postgres_url, database, size=2) as connections:
        await set_lease(connections, "held_until = now(), due_at = now(), holder = null")
        first, second = (
            RoundLeaseStore(connections, new_id(), hold_seconds=60, interval_seconds=600) for _ in range(2)
        )
        earlier = await first.begin()
        assert earlier is not None
        assert [await second.begin(), await second.extend()] == [None, False]
        await first.end()
        assert [await first.begin(), await second.begin()] == [None, None]

        await set_lease(connections, "due_at = now()")
        later = await second.begin()
        assert later is not None
        assert (later > earlier, await first.begin()) == (True, None)
        await set_lease(connections, "held_until = now()")  # the second replica died
        assert [await first.begin(), await second.begin()] == [later, None]
        await first.release()
        assert await second.begin() == later
        await second.release()


async def test_a_row_that_an_event_changed_meanwhile_is_not_corrected(postgres_url: str, database: str) -> None:
    async with pool(postgres_url, database, size=2) as connections:
        store, users = ReconciliationStore(connections), [2**47 + secrets.randbelow(2**52) for _ in range(2)]
        await store.correct([Difference(users[0], None, account(users[0], 3))])
        await store.correct([Difference(each, None, account(each, 4)) for each in users])  # another added the first
        (row, other) = await store.rows(sorted(users))
        row, other = (row, other) if row.user_id == users[0] else (other, row)
        assert (row.version, other.version) == (3, 4)
        stale = row._replace(version=2)

        assert await store.correct([Difference(users[0], stale, account(users[0], 9))]) == set()
        assert await store.correct([Difference(users[0], row, account(users[0], 2))]) == {users[0]}
        assert [each.version for each in await store.rows(users[:1])] == [2]


def account(user_id: int, version: int) -> VersionedUser:
    user = DirectoryUser(user_id=user_id, phone_ref=user_id, nickname="name", avatar="", visible=True)
    return VersionedUser(user, version, changed_at=1_000.0)


async def set_lease(connections: Pool, assignments: str) -> None:
    async with connection(connections) as conn:
        await conn.execute(f"update job_leases set {assignments}")


def corrections() -> float:
    return sum(HEALED.labels(kind)._value.get() for kind in ("missing", "changed", "erased"))
