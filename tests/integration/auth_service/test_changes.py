"""How often users may change their account, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from support.auth import Auth, fresh_number, fresh_secret, refusal

from auth_service.changes.limit_store import ChangeLimit
from auth_service.retention import delete_all_expired
from auth_service.retention_store import RetentionStore
from shared import postgres
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import CHANGE_PROFILE, END_OTHERS, END_SESSION, ChangeProfile, EndOthers, EndSession
from shared.internal_api.endpoint import Endpoint
from shared.postgres import Pool


@pytest.fixture
async def pool(auth: Auth) -> AsyncIterator[Pool]:
    async with postgres.pool(auth.settings.postgres_url, auth.settings.auth_database) as pool:
        yield pool


async def new_user(auth: Auth) -> tuple[int, EndSession]:
    """A new user's id, and the request to end their only session."""
    user = await auth.register(fresh_number(), fresh_secret())
    return user.account.user_id, EndSession(user_id=user.account.user_id, session_id=user.session_id)


async def age(auth: Auth, user_id: int, **past: float) -> None:
    statement = "update user_changes set full_at = full_at - $2::interval where user_id = $1"
    await auth.database.execute(statement, user_id, timedelta(**past))


async def test_a_user_may_make_as_many_changes_as_allowed_even_at_once_and_others_are_not_affected(
    auth: Auth, pool: Pool
) -> None:
    limit, (user_id, _), (other, _) = ChangeLimit(pool, 12), await new_user(auth), await new_user(auth)

    outcomes = await asyncio.gather(
        *(limit.charge(user_id, "change_profile") for _ in range(20)), return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert [error.code for error in refused] == [ErrorCode.CALLER_LIMIT] * 8
    assert all(295 <= (error.retry_after or 0) <= 300 for error in refused)
    await limit.charge(other, "change_profile")


async def test_changes_come_back_evenly(auth: Auth, pool: Pool) -> None:
    limit, (user_id, _) = ChangeLimit(pool, 12), await new_user(auth)
    for _ in range(12):
        await limit.charge(user_id, "change_profile")

    await age(auth, user_id, minutes=10)

    await limit.charge(user_id, "change_profile")
    await limit.charge(user_id, "change_profile")
    with pytest.raises(ServiceError):
        await limit.charge(user_id, "change_profile")


async def test_without_a_limit_nothing_is_counted(auth: Auth, pool: Pool) -> None:
    user_id, _ = await new_user(auth)
    for _ in range(5):
        await ChangeLimit(pool, None).charge(user_id, "change_profile")

    assert await auth.database.fetchval("select count(*) from user_changes where user_id = $1", user_id) == 0


async def test_all_changes_of_a_user_count_together_and_a_refused_one_has_no_effect(auth: Auth) -> None:
    user_id, ending = await new_user(auth)
    await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id, motto="before"))
    await age(auth, user_id, hours=-1)

    changes: list[tuple[Endpoint, object]] = [
        (CHANGE_PROFILE, ChangeProfile(user_id=user_id, motto="after")),
        (END_OTHERS, EndOthers(user_id=user_id, session_id=ending.session_id)),
        (END_SESSION, ending),
    ]
    for endpoint, request in changes:
        assert await refusal(auth.call(endpoint, request)) is ErrorCode.CALLER_LIMIT

    row = await auth.database.fetchrow("select motto from accounts where user_id = $1", user_id)
    assert row["motto"] == "before"
    assert await auth.database.fetchval("select count(*) from sessions where user_id = $1", user_id) == 1


async def test_the_audit_log_has_one_refusal_an_hour_for_each_user_however_often_they_go_on(auth: Auth) -> None:
    (user_id, ending), (other, ending_of_other) = await new_user(auth), await new_user(auth)
    for each in (user_id, other):
        await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=each, motto="before"))
        await age(auth, each, hours=-1)

    change = ChangeProfile(user_id=user_id, motto="after")
    codes = await asyncio.gather(*(refusal(auth.call(CHANGE_PROFILE, change)) for _ in range(10)))
    assert set(codes) == {ErrorCode.CALLER_LIMIT}
    assert await refusal(auth.call(END_SESSION, ending)) is ErrorCode.CALLER_LIMIT
    assert await refusal(auth.call(END_SESSION, ending_of_other)) is ErrorCode.CALLER_LIMIT
    assert await refused_changes(auth, user_id) == ["change_profile"]
    assert await refused_changes(auth, other) == ["end_session"]

    recorded_earlier = (
        "update user_changes set refusal_recorded_at = refusal_recorded_at - $2::interval where user_id = $1"
    )
    await auth.database.execute(recorded_earlier, user_id, timedelta(hours=1))
    for _ in range(2):
        assert await refusal(auth.call(END_SESSION, ending)) is ErrorCode.CALLER_LIMIT
    assert await refused_changes(auth, user_id) == ["change_profile", "end_session"]


async def refused_changes(auth: Auth, user_id: int) -> list[str]:
    """The details of the audit rows about refused changes of a user, oldest first."""
    rows = "select detail from audit_log where user_id = $1 and action = 'change.limited' order by at, id"
    return [row["detail"] for row in await auth.database.fetch(rows, user_id)]


async def test_counts_are_deleted_an_hour_after_all_changes_are_allowed_again(auth: Auth, pool: Pool) -> None:
    (old, _), (young, _), limit = await new_user(auth), await new_user(auth), ChangeLimit(pool, 12)
    for user_id in (old, young):
        await limit.charge(user_id, "change_profile")
    await age(auth, old, hours=2)
    await age(auth, young, hours=1)

    await delete_all_expired(RetentionStore(pool))

    rows = await auth.database.fetch(
        "select user_id from user_changes where user_id = any ($1::bigint[])", [old, young]
    )
    assert [row["user_id"] for row in rows] == [young]
