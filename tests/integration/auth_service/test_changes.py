"""How often users may change their account, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from support.auth import (
    Auth,
    exporting,
    fresh_address,
    fresh_number,
    fresh_secret,
    password_change,
    refusal,
    registration,
)
from support.login_limits import LIMITS, fill
from support.patience import until_accepted

from auth_service.changes.limit_store import ChangeLimit
from auth_service.retention import delete_all_expired
from auth_service.retention_store import RetentionStore
from shared import postgres
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PROFILE,
    END_OTHERS,
    END_SESSION,
    ERASE,
    REGISTER,
    ChangeProfile,
    EndOthers,
    EndSession,
    LoggedIn,
)
from shared.internal_api.personal_data.account import EXPORT_ME
from shared.postgres import Pool

RECORDED_EARLIER = "update user_changes set refusal_recorded_at = refusal_recorded_at - $2::interval where user_id = $1"


@pytest.fixture
async def pool(auth: Auth) -> AsyncIterator[Pool]:
    async with postgres.pool(auth.settings.postgres_url, auth.settings.auth_database) as pool:
        yield pool


async def new_user(auth: Auth) -> int:
    """A new user's id."""
    return (await auth.register(fresh_number(), fresh_secret())).account.user_id


def ending_of(session: LoggedIn) -> EndSession:
    return EndSession(user_id=session.account.user_id, session_id=session.session_id)


async def age(auth: Auth, user_id: int, **past: float) -> None:
    statement = "update user_changes set full_at = full_at - $2::interval where user_id = $1"
    await auth.database.execute(statement, user_id, timedelta(**past))


async def test_a_user_may_make_as_many_changes_as_allowed_even_at_once_and_others_are_not_affected(
    auth: Auth, pool: Pool
) -> None:
    limit, user_id, other = ChangeLimit(pool, 12), await new_user(auth), await new_user(auth)

    outcomes = await asyncio.gather(
        *(limit.charge(user_id, "change_profile") for _ in range(20)), return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert [error.code for error in refused] == [ErrorCode.CALLER_LIMIT] * 8
    assert all(295 <= (error.retry_after or 0) <= 300 for error in refused)
    await limit.charge(other, "change_profile")


async def test_changes_come_back_evenly(auth: Auth, pool: Pool) -> None:
    limit, user_id = ChangeLimit(pool, 12), await new_user(auth)
    for _ in range(12):
        await limit.charge(user_id, "change_profile")

    await age(auth, user_id, minutes=10)

    await limit.charge(user_id, "change_profile")
    await limit.charge(user_id, "change_profile")
    with pytest.raises(ServiceError):
        await limit.charge(user_id, "change_profile")


async def test_without_a_limit_nothing_is_counted(auth: Auth, pool: Pool) -> None:
    user_id = await new_user(auth)
    for _ in range(5):
        await ChangeLimit(pool, None).charge(user_id, "change_profile")

    assert await auth.database.fetchval("select count(*) from user_changes where user_id = $1", user_id) == 0


async def test_a_refused_change_has_no_effect_and_changes_of_other_kinds_count_alone(auth: Auth, pool: Pool) -> None:
    user_id = await new_user(auth)
    limit = ChangeLimit(pool, 12)
    await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id, motto="before"))
    await age(auth, user_id, hours=-1)

    change = ChangeProfile(user_id=user_id, motto="after")
    assert await refusal(auth.call(CHANGE_PROFILE, change)) is ErrorCode.CALLER_LIMIT
    await limit.charge(user_id, "change_password")

    row = await auth.database.fetchrow("select motto from accounts where user_id = $1", user_id)
    assert row["motto"] == "before"


async def test_a_stolen_session_that_uses_up_all_it_can_keeps_its_owner_from_no_remedy(auth: Auth) -> None:
    number, secret, new_secret, home = fresh_number(), fresh_secret(), fresh_secret(), fresh_address()
    await auth.call(REGISTER, registration(auth.ticket(number), secret, address=home))
    stolen, owner, third = [await auth.log_in(number, secret, home) for _ in range(3)]
    await use_up_changes(auth, stolen)

    await auth.call(END_SESSION, ending_of(third).model_copy(update={"caller_id": owner.session_id}))
    await until_accepted(lambda: auth.call(EXPORT_ME, exporting(owner.account, secret=secret, address=home)))
    await until_accepted(lambda: auth.call(CHANGE_PASSWORD, password_change(owner, secret, new_secret, home)))
    assert await auth.has_ended(stolen.token)
    assert await auth.has_ended(third.token)
    await until_accepted(lambda: auth.call(ERASE, auth.erasure(owner.account, secret=new_secret, address=home)))


async def test_each_session_has_limits_of_its_own_on_ending_others_and_can_always_end_itself(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    stolen, owner = await auth.register(number, secret), await auth.log_in(number, secret)
    user_id, third = owner.account.user_id, await auth.log_in(number, secret)
    end_third = EndSession(user_id=user_id, session_id=third.session_id, caller_id=stolen.session_id)
    await auth.call(END_SESSION, end_third)
    end_others = EndOthers(user_id=user_id, session_id=stolen.session_id)
    await auth.call(END_OTHERS, end_others)
    assert await auth.has_ended(owner.token)
    owner = await auth.log_in(number, secret)
    await age(auth, user_id, hours=-1)

    for endpoint, request in ((END_SESSION, end_third), (END_OTHERS, end_others)):
        assert await refusal(auth.call(endpoint, request)) is ErrorCode.CALLER_LIMIT
    assert await auth.session_of(owner.token) == owner.session_id
    assert await refused_changes(auth, user_id) == ["end_session", "end_others"]

    await auth.call(END_OTHERS, EndOthers(user_id=user_id, session_id=owner.session_id))
    assert await auth.has_ended(stolen.token)
    await age(auth, user_id, hours=-1)
    await auth.call(END_SESSION, ending_of(owner).model_copy(update={"caller_id": owner.session_id}))
    assert await auth.has_ended(owner.token)


async def use_up_changes(auth: Auth, stolen: LoggedIn) -> None:
    """Leave no room in all that calls with a session, and wrong passwords from elsewhere, are counted in."""
    user_id, elsewhere = stolen.account.user_id, fresh_address()
    await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id, motto="stolen"))
    unknown = EndSession(user_id=user_id, session_id=uuid4(), caller_id=stolen.session_id)
    assert await refusal(auth.call(END_SESSION, unknown)) is ErrorCode.NOT_FOUND
    for request in wrong_proofs(auth, stolen, elsewhere):
        assert await refusal(request) is ErrorCode.CREDENTIALS_REFUSED
    await age(auth, user_id, hours=-1)
    await fill(auth, elsewhere, stolen.account.phone, LIMITS.failures_per_number_day, user_id=user_id)


def wrong_proofs(auth: Auth, session: LoggedIn, address: str) -> Sequence[Awaitable[object]]:
    account, wrong = session.account, fresh_secret()
    return (
        auth.call(CHANGE_PASSWORD, password_change(session, wrong, fresh_secret(), address)),
        auth.call(EXPORT_ME, exporting(account, secret=wrong, address=address)),
        auth.call(ERASE, auth.erasure(account, secret=wrong, address=address)),
    )


async def test_the_audit_log_has_one_refusal_an_hour_for_each_user_and_change_however_often_they_go_on(
    auth: Auth, pool: Pool
) -> None:
    user_id = await new_user(auth)
    other = await new_user(auth)
    limit = ChangeLimit(pool, 1)
    for each, change in ((user_id, "change_profile"), (user_id, "export"), (other, "export")):
        await limit.charge(each, change)

    async def refused(each: int, change: str) -> None:
        assert await refusal(limit.charge(each, change)) is ErrorCode.CALLER_LIMIT

    await asyncio.gather(*(refused(user_id, "change_profile") for _ in range(10)))
    for _ in range(2):
        await refused(user_id, "export")
        await refused(other, "export")
    assert await refused_changes(auth, user_id) == ["change_profile", "export"]
    assert await refused_changes(auth, other) == ["export"]

    await auth.database.execute(RECORDED_EARLIER, user_id, timedelta(hours=1))
    for _ in range(2):
        await refused(user_id, "export")
    assert await refused_changes(auth, user_id) == ["change_profile", "export", "export"]


async def refused_changes(auth: Auth, user_id: int) -> list[str]:
    """The details of the audit rows about refused changes of a user, oldest first."""
    rows = "select detail from audit_log where user_id = $1 and action = 'change.limited' order by at, id"
    return [row["detail"] for row in await auth.database.fetch(rows, user_id)]


async def test_counts_are_deleted_an_hour_after_all_changes_are_allowed_again(auth: Auth, pool: Pool) -> None:
    old, young, limit = await new_user(auth), await new_user(auth), ChangeLimit(pool, 12)
    for user_id in (old, young):
        await limit.charge(user_id, "change_profile")
    await age(auth, old, hours=2)
    await age(auth, young, hours=1)

    await delete_all_expired(RetentionStore(pool))

    rows = await auth.database.fetch(
        "select user_id from user_changes where user_id = any ($1::bigint[])", [old, young]
    )
    assert [row["user_id"] for row in rows] == [young]
