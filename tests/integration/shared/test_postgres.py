"""The pool and the migrations on a real PostgreSQL: connections that it ends, and URLs of every form."""

import asyncio

import asyncpg
import pytest

from shared.errors import ErrorCode, ServiceError
from shared.migrations.upgrade import migrate
from shared.postgres import Pool, pool, transaction

END_ALL = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1"


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


@pytest.mark.parametrize(
    ("part", "form"),
    [
        ("postgresql://", "postgres://"),
        ("/postgres", "/postgres?sslmode=disable"),
        ("@", "@127.0.0.1:1,"),
        ("@", "@[::1]:1,127.0.0.1:2,"),
    ],
)
async def test_a_url_with_which_the_service_connects_also_migrates(
    postgres_url: str, database: str, part: str, form: str
) -> None:
    url = form.join(postgres_url.rsplit(part, 1))
    await asyncio.to_thread(migrate, url, database, "contacts_service")
    async with pool(url, database) as opened:
        assert await opened.fetchval("select count(*) from directory") == 0
