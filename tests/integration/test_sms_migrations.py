"""sms-service's schema changes while the previous release runs: nobody waits, and two migrators take turns."""

import asyncio
import os
import secrets
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from support.sms import asking, fresh_number, process

from shared.postgres import ensure_database, url_of

BEFORE = "0005"
"""The revision before the one that builds an index on a table that requests write to."""
INDEX = "select indisvalid from pg_index where indexrelid = to_regclass('messages_uncarried')"
HERE = "select count(*) from pg_stat_activity where datname = current_database() and "
BUILDING = HERE + "query ~ '^\\s*create index concurrently' and wait_event_type = 'Lock'"
WAITING = HERE + "query ~ '^select pg.*_advisory'"


@pytest.fixture
async def name(postgres_url: str) -> AsyncIterator[str]:
    """The name of a database of one's own, which is not there yet."""
    name = f"sms_{secrets.token_hex(6)}"
    yield name
    session = await asyncpg.connect(postgres_url)
    await session.execute(f'drop database if exists "{name}" with (force)')
    await session.close()


@asynccontextmanager
async def migrating(postgres_url: str, name: str) -> AsyncIterator[Process]:
    environ = {**os.environ, "ENVIRONMENT": "development", "POSTGRES_URL": postgres_url, "SMS_DATABASE": name}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sms_service", "migrate", env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.communicate()


async def good_end(*migrators: Process) -> None:
    async with asyncio.timeout(30):
        said = await asyncio.gather(*(migrator.communicate() for migrator in migrators))
    assert [migrator.returncode for migrator in migrators] == [0] * len(migrators), said
    assert all(b"database.migrated" in out for out, _ in said)


async def upgraded(postgres_url: str, name: str, revision: str) -> None:
    """The database as an earlier release left it."""
    await ensure_database(postgres_url, name)
    config = Config()
    config.set_main_option("script_location", "sms_service:migrations")
    config.attributes["url"] = url_of(postgres_url, name)
    await asyncio.to_thread(command.upgrade, config, revision)


@asynccontextmanager
async def session(postgres_url: str, name: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    opened = await asyncpg.connect(url_of(postgres_url, name))
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def writing(postgres_url: str, name: str) -> AsyncIterator[None]:
    """A request that has written to the ledger and goes on."""
    async with session(postgres_url, name) as opened, opened.transaction():
        await opened.execute("lock table messages in row exclusive mode")
        yield


async def seen(watcher: "asyncpg.Connection[asyncpg.Record]", query: str) -> None:
    """Wait until a session can be seen to do something."""
    async with asyncio.timeout(30):
        while not await watcher.fetchval(query):
            await asyncio.sleep(0)


async def test_two_migrators_at_once_make_the_whole_schema_once(postgres_url: str, name: str) -> None:
    async with migrating(postgres_url, name) as first, migrating(postgres_url, name) as second:
        await good_end(first, second)
    async with session(postgres_url, name) as opened:
        assert await opened.fetchval("select count(*) from alembic_version") == 1
        assert await opened.fetchval(INDEX) is True


async def test_codes_are_asked_for_while_an_index_is_built_and_a_second_migrator_waits(
    postgres_url: str, name: str
) -> None:
    await upgraded(postgres_url, name, BEFORE)
    async with session(postgres_url, name) as watcher, process(postgres_url, name) as sms:
        async with AsyncExitStack() as migrators:
            async with writing(postgres_url, name):
                first = await migrators.enter_async_context(migrating(postgres_url, name))
                await seen(watcher, BUILDING)
                second = await migrators.enter_async_context(migrating(postgres_url, name))
                await seen(watcher, WAITING)
                number = fresh_number()
                await sms.codes().issue(asking(number))
                assert len(await sms.sends(number)) == 1
            await good_end(first, second)
        assert await watcher.fetchval(INDEX) is True


async def test_a_migration_that_was_interrupted_is_made_good_by_the_next_one(postgres_url: str, name: str) -> None:
    await upgraded(postgres_url, name, BEFORE)
    async with session(postgres_url, name) as watcher:
        async with writing(postgres_url, name), migrating(postgres_url, name) as migrator:
            await seen(watcher, BUILDING)
            await watcher.execute(BUILDING.replace("count(*)", "pg_cancel_backend(pid)"))
            await migrator.communicate()
            assert migrator.returncode != 0
        assert await watcher.fetchval(INDEX) is False
        assert await watcher.fetchval("select version_num from alembic_version") == BEFORE

        async with migrating(postgres_url, name) as migrator:
            await good_end(migrator)

        assert await watcher.fetchval(INDEX) is True
        assert await watcher.fetchval("select to_regclass('verification_events') is not null")
