"""A migration runs beside the previous release: its prepared statements meet tables with other columns."""

from collections.abc import AsyncIterator

import pytest
from support.auth import Auth, fresh_number, fresh_secret

from shared.internal_api.auth import RESOLVE, Resolve

TABLES = "select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version'"


async def change_tables(auth: Auth, change: str) -> int:
    tables = [row["tablename"] for row in await auth.database.fetch(TABLES)]
    for table in tables:
        await auth.database.execute(f'alter table "{table}" {change}')
    return len(tables)


@pytest.fixture
async def auth_as_before(auth: Auth) -> AsyncIterator[Auth]:
    yield auth
    await change_tables(auth, "drop column if exists added_by_a_test")


async def use_everything(auth: Auth) -> None:
    """Register, log in and resolve a session, several times."""
    for _ in range(3):
        number, secret = fresh_number(), fresh_secret()
        await auth.register(number, secret)
        logged_in = await auth.log_in(number, secret)
        await auth.call(RESOLVE, Resolve(token=logged_in.token))


@pytest.mark.parametrize("change", ["add column added_by_a_test int", "drop column added_by_a_test"])
async def test_a_column_that_is_added_or_dropped_fails_no_prepared_statement(auth_as_before: Auth, change: str) -> None:
    if change.startswith("drop"):
        await change_tables(auth_as_before, "add column added_by_a_test int")
    await use_everything(auth_as_before)

    assert await change_tables(auth_as_before, change) > 5

    await use_everything(auth_as_before)
