"""The directory in PostgreSQL: events in any order, also repeated, lead to the same row."""

import asyncio
import itertools
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from contacts_service.consumer import DirectoryEntry
from contacts_service.matching import Member
from contacts_service.reconciliation.retention import purge
from contacts_service.store import Store
from shared.events.catalogue import ContactsMatched
from shared.events.envelope import OutboxMessage, entry_of, new_event
from shared.migrations.upgrade import migrate
from shared.postgres import Pool, pool, url_of

START = datetime(2026, 1, 1, tzinfo=UTC)
REF, OTHER_REF = -(2**63), 2**63 - 1
ASKING = 99


@pytest.fixture(scope="module")
async def connections(postgres_url: str, database: str) -> AsyncIterator[Pool]:
    async with pool(postgres_url, database) as opened:
        yield opened


@pytest.fixture
async def store(connections: Pool) -> AsyncIterator[Store]:
    yield Store(connections)
    await connections.execute("truncate directory, outbox")


def entry(
    version: int = 1, *, user_id: int = 7, ref: int | None = REF, visible: bool = True, at: int = 0
) -> DirectoryEntry:
    """A user as in an event; ``at`` is the hour of the event."""
    moment = START + timedelta(hours=at or version)
    return DirectoryEntry(user_id, ref, f"name {version}", f"avatar {version}", visible, version, moment)


def deleted(version: int, *, user_id: int = 7) -> DirectoryEntry:
    return DirectoryEntry(
        user_id, None, "", "", visible=False, version=version, occurred_at=START + timedelta(hours=version)
    )


async def found(store: Store, *refs: int) -> dict[int, int]:
    return {ref: user_id for ref, (user_id, _, _) in (await match(store, *refs)).items()}


async def match(store: Store, *refs: int, user_id: int = ASKING) -> dict[int, Member]:
    return await store.find(refs, user_id=user_id)


def event_of_match(user_id: int) -> OutboxMessage:
    counts = ContactsMatched(user_id=str(user_id), submitted=9, charged=5, matched=1)
    return new_event(counts, source="contacts-service", subject=str(user_id), version=1)


async def rows(connections: Pool) -> list[tuple[object, ...]]:
    columns = "user_id, phone_ref, nickname, avatar, visible, version, occurred_at"
    return [tuple(row) for row in await connections.fetch(f"select {columns} from directory")]


LIFE = [entry(1), entry(2, ref=OTHER_REF), entry(3, ref=OTHER_REF, visible=False), deleted(4)]


async def test_events_in_any_order_and_repeated_lead_to_the_same_row(store: Store, connections: Pool) -> None:
    await store.apply(LIFE[-1])
    last = await rows(connections)

    for order in itertools.permutations(LIFE):
        await connections.execute("truncate directory")
        for event in (*order, *order):
            await store.apply(event)
        assert await rows(connections) == last, [event.version for event in order]


async def test_of_simultaneous_events_the_newest_is_stored(store: Store, connections: Pool) -> None:
    for _ in range(20):
        await connections.execute("truncate directory")
        await asyncio.gather(*(store.apply(event) for event in LIFE[:3]))
        assert [row[5] for row in await rows(connections)] == [3]


async def test_simultaneous_events_of_many_users_are_each_applied_or_not(store: Store, connections: Pool) -> None:
    await asyncio.gather(*(store.apply(entry(2, user_id=user_id)) for user_id in range(1, 300, 2)))

    applied = await asyncio.gather(*(store.apply(entry(2, user_id=user_id)) for user_id in range(300)))

    assert applied == [user_id % 2 == 0 for user_id in range(300)]
    assert len(await rows(connections)) == 300


async def test_an_event_is_applied_once(store: Store) -> None:
    assert await store.apply(entry(2))
    assert not await store.apply(entry(2))
    assert not await store.apply(entry(1))
    assert await store.apply(entry(3))


async def test_a_deleted_user_stays_deleted(store: Store) -> None:
    await store.apply(entry(1))
    await store.apply(deleted(5))
    await store.apply(entry(4))

    assert await found(store, REF) == {}


async def test_a_hidden_user_is_not_found_until_they_are_visible_again(store: Store) -> None:
    await store.apply(entry(1, visible=False))
    assert await found(store, REF) == {}

    await store.apply(entry(2))
    assert await found(store, REF) == {REF: 7}


async def test_a_number_of_two_users_belongs_to_the_later_one(store: Store) -> None:
    await store.apply(entry(1, user_id=8, at=20))
    await store.apply(entry(9, user_id=7, at=10))

    assert await found(store, REF) == {REF: 8}


async def test_a_number_of_two_users_finds_no_one_if_the_later_one_is_hidden(store: Store) -> None:
    await store.apply(entry(1, user_id=8, at=20, visible=False))
    await store.apply(entry(9, user_id=7, at=10))

    assert await found(store, REF) == {}


async def test_a_released_number_finds_only_its_next_user(store: Store) -> None:
    await store.apply(entry(1, user_id=7))
    await store.apply(entry(1, user_id=8, at=20))
    await store.apply(entry(2, user_id=7, ref=OTHER_REF, at=30))

    assert await found(store, REF, OTHER_REF) == {REF: 8, OTHER_REF: 7}


async def test_visible_users_are_read_page_by_page(store: Store) -> None:
    for user_id, ref, visible in [(1, 11, True), (2, 22, False), (3, -33, True), (4, 44, True)]:
        await store.apply(entry(user_id=user_id, ref=ref, visible=visible))
    await store.apply(deleted(2, user_id=4))

    last, first = await store.page(-1, 1)
    end, rest = await store.page(last, 10)

    assert (first, rest) == (b"\0" * 7 + b"\x0b", b"\xff" * 7 + b"\xdf")
    assert await store.page(end, 10) == (0, b"")


async def test_changed_rows_are_read_since_a_time(store: Store, connections: Pool) -> None:
    await store.apply(entry(user_id=1, ref=11))
    await connections.execute("update directory set updated_at = updated_at - interval '1 hour'")
    await store.apply(entry(user_id=2, ref=22))
    await store.apply(entry(user_id=3, ref=33, visible=False))
    now = await store.now()

    clock, changed = await store.changed(now - timedelta(minutes=1))
    _, unchanged = await store.changed(clock)

    assert (list(changed), list(unchanged)) == ([22], [])
    assert clock >= now


async def test_the_number_of_rows_is_known_without_counting_them(store: Store, connections: Pool) -> None:
    for user_id in range(20):
        await store.apply(entry(user_id=user_id, ref=user_id))
    await connections.execute("analyze directory")

    assert await store.estimated_rows() == 20


async def test_a_match_shows_visible_users_without_the_one_who_asks(store: Store) -> None:
    await store.apply(entry(user_id=1, ref=11))
    await store.apply(entry(user_id=2, ref=22))
    await store.apply(entry(user_id=3, ref=33, visible=False))

    assert await match(store, 11, 22, 33, 44, user_id=2) == {11: (1, "name 1", "avatar 1")}
    assert await match(store, 33, 44) == {}
    assert await match(store) == {}


async def test_events_are_put_into_the_outbox_once(store: Store, connections: Pool) -> None:
    first, second = (event_of_match(user_id) for user_id in (1, 2))

    await store.put([first])
    await store.put([first, second])

    rows = await connections.fetch("select id, exchange, routing_key, body from outbox order by id")
    assert [tuple(row) for row in rows] == [
        (event.id, entry_of(ContactsMatched.key), ContactsMatched.key, event.body) for event in (first, second)
    ]


async def test_a_second_migration_changes_nothing(postgres_url: str, database: str) -> None:
    await asyncio.to_thread(migrate, postgres_url, database, "contacts_service")

    session = await asyncpg.connect(url_of(postgres_url, database))
    assert await session.fetchval("select version_num from alembic_version") == "0001"
    await session.close()


async def test_an_erased_user_leaves_the_directory_after_thirty_days(store: Store, connections: Pool) -> None:
    for user_id in (7, 8, 9):
        await store.apply(entry(1, user_id=user_id))
    for user_id in (7, 8):
        await store.apply(deleted(2, user_id=user_id))
    long_ago = "update directory set updated_at = now() - make_interval(days => 30, mins => 1) where user_id <> 8"
    await connections.execute(long_ago)

    await purge(store)

    assert [row[0] for row in await connections.fetch("select user_id from directory order by user_id")] == [8, 9]


async def test_users_who_left_the_directory_since_a_moment_are_listed_page_by_page(store: Store) -> None:
    for user_id, left_at in ((7, 2), (8, 9), (9, 10), (10, None)):
        await store.apply(entry(1, user_id=user_id))
        if left_at is not None:
            await store.apply(deleted(left_at, user_id=user_id))
    moment = START + timedelta(hours=9)

    first = await store.gone(moment, 0, 1)

    assert (first, await store.gone(moment, first[-1], 5)) == ([8], [9])
    assert await store.gone(moment + timedelta(hours=2), 0, 5) == []


async def test_the_command_prints_an_id_a_line(store: Store, postgres_url: str, database: str) -> None:
    for user_id in (8, 7):
        await store.apply(deleted(2, user_id=user_id))
    environ = {"ENVIRONMENT": "development", "POSTGRES_URL": postgres_url, "CONTACTS_DATABASE": database}
    words = ("-m", "contacts_service", "gone", "--since", START.isoformat())

    process = await create_subprocess_exec(sys.executable, *words, env=os.environ | environ, stdout=PIPE, stderr=STDOUT)
    output, _ = await process.communicate()

    assert (process.returncode, output.decode()) == (0, "7\n8\n")
