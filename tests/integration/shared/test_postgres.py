"""The pool on a real PostgreSQL that ends its connections."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.errors import ErrorCode, ServiceError
from shared.postgres import Pool, ensure_database, pool, transaction

END_ALL = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[str]:
    """An empty database of its own."""
    name = f"pool_{secrets.token_hex(4)}"
    await ensure_database(postgres_url, name)
    yield name
    session = await asyncpg.connect(postgres_url)
    await session.execute(f'drop database "{name}" with (force)')
    await session.close()


async def statements(opened: Pool, until: asyncio.Event) -> tuple[int, list[BaseException]]:
    """Run statements and transactions until the event is set. Returns the number of results, and the errors."""
    results, errors = 0, []
    while not until.is_set():
        try:
            await opened.fetchval("select 1")
            async with transaction(opened) as session:
                await session.fetchval("select count(*) from generate_series(1, 1000)")
            results += 1
        except Exception as error:  # noqa: BLE001  the test judges all of them
            errors.append(error)
    return results, errors


async def test_connections_that_postgresql_ends_are_busy_for_their_callers_and_never_reused(
    postgres_url: str, database: str
) -> None:
    admin = await asyncpg.connect(postgres_url)
    async with pool(postgres_url, database, size=4) as opened:
        done = asyncio.Event()
        callers = [asyncio.create_task(statements(opened, done)) for _ in range(8)]
        for _ in range(40):
            await admin.fetchval(END_ALL, database)
            await asyncio.sleep(0.02)
        done.set()
        outcomes = await asyncio.gather(*callers)

        assert all(results for results, _ in outcomes)
        errors = [error for _, errors in outcomes for error in errors]
        assert errors
        assert {
            (type(error), getattr(error, "code", None), getattr(error, "retry_after", None)) for error in errors
        } == {(ServiceError, ErrorCode.UNAVAILABLE, 1)}
        assert await asyncio.gather(*(opened.fetchval("select 1") for _ in range(8))) == [1] * 8
    await admin.close()
