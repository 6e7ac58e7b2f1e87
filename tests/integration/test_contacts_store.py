"""The directory in PostgreSQL: events in any order, as often as they like, end in the same row."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from contacts_service.consumer import Entry
from contacts_service.store import Store
from shared.postgres import Pool, migrate, pool, url_of

START = datetime(2026, 1, 1, tzinfo=UTC)
REF, OTHER_REF = -(2**63), 2**63 - 1


@pytest.fixture(scope="module")
async def database(postgres_url: str) -> AsyncIterator[str]:
    name = f"contacts_{secrets.token_hex(4)}"
    try:
        await asyncio.to_thread(migrate, postgres_url, name, "contacts_service")
        yield name
    finally:
        session = await asyncpg.connect(postgres_url)
        await session.execute(f'drop database if exists "{name}" with (force)')
        await session.close()


@pytest.fixture(scope="module")
async def connections(postgres_url: str, database: str) -> AsyncIterator[Pool]:
    async with pool(postgres_url, database) as opened:
        yield opened


@pytest.fixture
async def store(connections: Pool) -> AsyncIterator[Store]:
    yield Store(connections)
    await connections.execute("truncate directory, outbox")


def entry(version: int = 1, *, user_id: int = 7, ref: int | None = REF, visible: bool = True, at: int = 0) -> Entry:
    """A snapshot; ``at`` is the hour at which the fact happened."""
    moment = START + timedelta(hours=at or version)
    return Entry(user_id, ref, f"name {version}", f"avatar {version}", visible, version, moment)


def gone(version: int, *, user_id: int = 7) -> Entry:
    return Entry(user_id, None, "", "", visible=False, version=version, since=START + timedelta(hours=version))


async def found(store: Store, *refs: int) -> dict[int, int]:
    return {member.ref: member.user_id for member in await store.find(refs)}


async def rows(connections: Pool) -> list[tuple[object, ...]]:
    columns = "user_id, phone_ref, nickname, avatar, visible, version, since"
    return [tuple(row) for row in await connections.fetch(f"select {columns} from directory")]


LIFE = [entry(1), entry(2, ref=OTHER_REF), entry(3, ref=OTHER_REF, visible=False), gone(4)]


async def test_events_in_any_order_and_twice_end_in_the_same_row(store: Store, connections: Pool) -> None:
    await store.apply(LIFE[-1])
    last = await rows(connections)

    for order in itertools.permutations(LIFE):
        await connections.execute("truncate directory")
        for told in (*order, *order):
            await store.apply(told)
        assert await rows(connections) == last, [told.version for told in order]


async def test_events_at_the_same_moment_end_in_the_newest(store: Store, connections: Pool) -> None:
    for _ in range(20):
        await connections.execute("truncate directory")
        await asyncio.gather(*(store.apply(told) for told in LIFE[:3]))
        assert [row[5] for row in await rows(connections)] == [3]


async def test_an_event_is_applied_once_and_says_so(store: Store) -> None:
    assert await store.apply(entry(2))
    assert not await store.apply(entry(2))
    assert not await store.apply(entry(1))
    assert await store.apply(entry(3))


async def test_the_deleted_stay_deleted(store: Store) -> None:
    await store.apply(entry(1))
    await store.apply(gone(5))
    await store.apply(entry(4))

    assert await found(store, REF) == {}


async def test_who_hides_is_not_found_and_is_found_again_afterwards(store: Store) -> None:
    await store.apply(entry(1, visible=False))
    assert await found(store, REF) == {}

    await store.apply(entry(2))
    assert await found(store, REF) == {REF: 7}


async def test_a_number_in_two_hands_belongs_to_whom_it_came_later(store: Store) -> None:
    await store.apply(entry(1, user_id=8, at=20))
    await store.apply(entry(9, user_id=7, at=10))

    assert await found(store, REF) == {REF: 8}


async def test_a_number_whose_later_holder_hides_finds_nobody(store: Store) -> None:
    await store.apply(entry(1, user_id=8, at=20, visible=False))
    await store.apply(entry(9, user_id=7, at=10))

    assert await found(store, REF) == {}


async def test_a_number_given_up_finds_its_next_holder_alone(store: Store) -> None:
    await store.apply(entry(1, user_id=7))
    await store.apply(entry(1, user_id=8, at=20))
    await store.apply(entry(2, user_id=7, ref=OTHER_REF, at=30))

    assert await found(store, REF, OTHER_REF) == {REF: 8, OTHER_REF: 7}


async def test_the_filter_is_fed_with_visible_users_page_by_page(store: Store) -> None:
    for user_id, ref, visible in [(1, 11, True), (2, 22, False), (3, 33, True), (4, 44, True)]:
        await store.apply(entry(user_id=user_id, ref=ref, visible=visible))
    await store.apply(gone(2, user_id=4))

    last, first = await store.page(-1, 1)
    end, rest = await store.page(last, 10)

    assert (list(first), list(rest)) == ([11], [33])
    assert await store.page(end, 10) == (0, ())


async def test_the_filter_hears_of_changes_since_a_moment(store: Store, connections: Pool) -> None:
    await store.apply(entry(user_id=1, ref=11))
    await connections.execute("update directory set updated_at = updated_at - interval '1 hour'")
    await store.apply(entry(user_id=2, ref=22))
    await store.apply(entry(user_id=3, ref=33, visible=False))
    now = await store.now()

    clock, changed = await store.changed(now - timedelta(minutes=1))
    _, silence = await store.changed(clock)

    assert (list(changed), list(silence)) == ([22], [])
    assert clock >= now


async def test_a_second_migration_finds_nothing_to_do(postgres_url: str, database: str) -> None:
    await asyncio.to_thread(migrate, postgres_url, database, "contacts_service")

    session = await asyncpg.connect(url_of(postgres_url, database))
    assert await session.fetchval("select version_num from alembic_version") == "0001"
    await session.close()
