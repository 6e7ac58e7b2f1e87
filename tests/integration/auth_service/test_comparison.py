"""The accounts as contacts-service compares them."""

from collections.abc import AsyncIterator

import pytest
from support.auth import Auth, database, fresh_number, fresh_secret

from auth_service.accounts.comparison_store import UserStore
from shared.internal_api.auth import CHANGE_PROFILE, ChangeProfile
from shared.internal_api.directory import (
    COMPARE_USERS,
    FIND_USERS,
    MAX_USER_ID,
    CompareUsers,
    DirectoryUser,
    FindUsers,
    digest_of,
)
from shared.phone import PhoneKeys
from shared.postgres import Pool, connection, pool

LATE = """
    insert into outbox (id, exchange, routing_key, body, created_at, parked_at)
    values (gen_random_uuid(), 'events', 'late', '', now() - make_interval(secs => $1), $2)
"""


@pytest.fixture
async def empty_database(postgres_url: str) -> AsyncIterator[Pool]:
    """A database without a running service, so that nothing relays its outbox."""
    async with database(postgres_url) as name, pool(postgres_url, name, size=2) as connections:
        yield connections


async def test_equal_digests_are_equal_and_others_come_with_the_users(auth: Auth) -> None:
    account = (await auth.register(fresh_number(), fresh_secret())).account
    await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=account.user_id, discoverable=False))
    shown = DirectoryUser(account.user_id, auth.phones.ref(account.phone), account.nickname, "", visible=False)
    only = {"first": account.user_id, "up_to": account.user_id}

    assert (await auth.call(COMPARE_USERS, CompareUsers(**only, digest=digest_of([shown])))).is_equal
    differing = await auth.call(COMPARE_USERS, CompareUsers(**only, digest=digest_of([])))
    assert (differing.is_equal, differing.up_to) == (False, account.user_id)
    assert [(each.user, each.version) for each in differing.users] == [(shown, 2)]
    found = await auth.call(FIND_USERS, FindUsers(user_ids=[account.user_id, account.user_id + 1]))
    assert found.users == differing.users


async def test_a_long_range_is_answered_with_its_first_page(auth: Auth) -> None:
    await auth.database.execute(
        "insert into accounts (user_id, phone, nickname, dialect, client) "
        "select 8000000000000000 + n, '+861370' || lpad(n::text, 7, '0'), 'user', 'tel', 'ios' "
        "from generate_series(1, 700) as n"
    )
    everything = CompareUsers(first=8_000_000_000_000_001, up_to=MAX_USER_ID, digest=digest_of([]))

    first = await auth.call(COMPARE_USERS, everything)

    assert (first.is_equal, len(first.users), first.up_to) == (False, 500, first.users[-1].user.user_id)
    rest = await auth.call(COMPARE_USERS, everything.model_copy(update={"first": first.up_to + 1}))
    assert len({each.user.user_id for each in (*first.users, *rest.users)}) == len(first.users) + len(rest.users) >= 700


async def test_events_are_late_when_one_has_waited_in_the_outbox(empty_database: Pool) -> None:
    store = UserStore(empty_database, PhoneKeys(bytes(32)))
    async with connection(empty_database) as conn:
        assert not await store.are_events_late()
        await conn.execute(LATE, 1.0, None)
        assert not await store.are_events_late()
        await conn.execute(
            "insert into outbox select gen_random_uuid(), exchange, routing_key, body, "
            "now() - interval '1 minute', 5, now() from outbox"
        )  # a parked one is lost, not late
        assert not await store.are_events_late()
        await conn.execute(LATE, 11.0, None)
        assert await store.are_events_late()
