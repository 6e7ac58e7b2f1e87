"""A primary with a synchronous standby: sessions are on the primary alone, and follow it."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest
from stack import keys
from stack.system import Stack
from support.servers.postgres_pair import PostgresPair, fetchval

from shared.errors import ServiceError
from shared.migrations.upgrade import migrate
from shared.postgres import open_session, pool
from shared.postgres.sessions import StandbyError
from shared.process import startup
from shared.process.startup import UnreachableError

RECOVERY_SECONDS = 60


@pytest.fixture(scope="module")
def pair(servers: Stack) -> Iterator[PostgresPair]:
    servers_of_pair = PostgresPair(servers.folder, keys.load_or_create(servers.folder.path / "secrets.env"))
    servers_of_pair.start()
    yield servers_of_pair
    servers_of_pair.close()


def standby_first(pair: PostgresPair) -> str:
    """The URL of both, with the standby before the primary."""
    user, _, rest = pair.url.rpartition("@")
    one, two = rest.partition("/")[0].split(",")
    return f"{user}@{two},{one}/postgres"


async def test_a_standby_is_passed_over_by_sessions_and_migrations(pair: PostgresPair) -> None:
    url, database = standby_first(pair), f"pair_{secrets.token_hex(4)}"
    session = await open_session(url, {})
    assert await session.fetchval("select not pg_is_in_recovery()")
    await session.close()

    await asyncio.to_thread(migrate, url, database, "contacts_service")
    async with pool(url, database) as opened:
        assert await opened.fetchval("select count(*) from directory") == 0


async def test_a_standby_that_has_not_replayed_a_new_database_is_passed_over(pair: PostgresPair) -> None:
    url, database = standby_first(pair), f"pair_{secrets.token_hex(4)}"
    await fetchval(pair.standby.url, "select pg_wal_replay_pause()")
    try:
        await asyncio.to_thread(migrate, url, database, "contacts_service")
        async with pool(url, database) as opened:
            assert await opened.fetchval("select count(*) from directory") == 0
    finally:
        await fetchval(pair.standby.url, "select pg_wal_replay_resume()")


async def test_a_standby_alone_ends_the_start_with_one_line(
    pair: PostgresPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "STARTUP_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(StandbyError):
        await open_session(pair.standby.url, {})
    with pytest.raises(
        UnreachableError, match="PostgreSQL is a standby or read-only, and no decision is read from one"
    ):
        async with pool(pair.standby.url, "postgres"):
            pass


async def test_after_the_death_of_the_primary_its_standby_has_every_commit(servers: Stack) -> None:
    passwords = keys.load_or_create(servers.folder.path / "secrets.env")
    doomed = PostgresPair(servers.folder, passwords, names=("doomed", "heir"))
    await asyncio.to_thread(doomed.start)
    try:
        async with pool(doomed.url, "postgres") as opened:
            await opened.execute("create table acknowledged (number integer)")
            for number in range(100):
                await opened.execute("insert into acknowledged values ($1)", number)
            doomed.primary.kill()
            with pytest.raises(ServiceError):
                await opened.fetchval("select 1")
            await doomed.promote()
            async with asyncio.timeout(RECOVERY_SECONDS):
                assert await opened.fetchval("select count(*) from acknowledged") == 100
                await opened.execute("insert into acknowledged values (100)")
    finally:
        await asyncio.to_thread(doomed.close)
