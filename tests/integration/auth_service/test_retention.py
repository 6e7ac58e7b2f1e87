"""Retention on a real PostgreSQL: expired rows are deleted, and no others."""

from datetime import timedelta

from support.auth import Auth, fresh_number, fresh_secret, refusal

from auth_service.retention import delete_all_expired
from auth_service.retention_store import RetentionStore
from auth_service.sessions.model import hash_token
from shared import postgres
from shared.errors import ErrorCode
from shared.internal_api.auth import GRANT, REFRESH, Grant, Refresh


async def age(auth: Auth, table: str, column: str, user_id: int, days: int) -> None:
    """Make the rows of a user this many days older."""
    statement = f"update {table} set {column} = {column} - $2::interval where user_id = $1"
    await auth.database.execute(statement, user_id, timedelta(days=days))


async def test_expired_rows_are_deleted_and_no_others(auth: Auth, postgres_url: str) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    user_id = user.account.user_id
    assert await refusal(auth.log_in(number, fresh_secret())) is ErrorCode.CREDENTIALS_REFUSED
    await auth.database.execute("update login_limits set full_at = now() - interval '1 second'")
    await age(auth, "sessions", "expires_at", user_id, 31)
    await age(auth, "spent_tickets", "spent_at", user_id, 2)
    kept = await auth.log_in(number, secret)

    async with postgres.pool(postgres_url, auth.settings.auth_database) as pool:
        await delete_all_expired(RetentionStore(pool))

    count = "select count(*) from {} where user_id = $1"
    left = {
        table: await auth.database.fetchval(count.format(table), user_id)
        for table in ("accounts", "sessions", "spent_tickets")
    }
    assert left == {"accounts": 1, "sessions": 1, "spent_tickets": 0}
    assert await auth.database.fetchval("select count(*) from login_limits where full_at < now()") == 0
    assert await auth.session_of(kept.token) == kept.session_id


async def test_batches_are_deleted_until_one_is_not_full(auth: Auth, postgres_url: str) -> None:
    await auth.database.execute(
        "insert into login_limits select 'old ' || n, now() - interval '1 day' from generate_series(1, 2500) n"
    )

    async with postgres.pool(postgres_url, auth.settings.auth_database) as pool:
        await delete_all_expired(RetentionStore(pool))

    assert await auth.database.fetchval("select count(*) from login_limits where bucket like 'old %'") == 0


async def test_a_refresh_token_is_deleted_thirty_days_after_its_use(auth: Auth, postgres_url: str) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    first = await auth.call(GRANT, Grant(token=user.token))
    await auth.call(REFRESH, Refresh(refresh_token=first.refresh_token))
    change = "update refresh_tokens set expires_at = now() - $2::interval, spent_at = now() - $3::interval"
    second, almost, past = timedelta(seconds=1), timedelta(days=29), timedelta(days=30, seconds=1)
    left = []

    async with postgres.pool(postgres_url, auth.settings.auth_database) as pool:
        for age in (almost, past):
            token_hash = hash_token(first.refresh_token)
            await auth.database.execute(f"{change} where token_hash = $1", token_hash, second, age)
            await delete_all_expired(RetentionStore(pool))
            count = "select count(*) from refresh_tokens where session_id = $1"
            left.append(await auth.database.fetchval(count, user.session_id))

    assert left == [2, 1]
    refresh = auth.call(REFRESH, Refresh(refresh_token=first.refresh_token))
    assert await refusal(refresh) is ErrorCode.UNAUTHENTICATED
