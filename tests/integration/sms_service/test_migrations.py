"""Schema changes while the previous release runs: no request waits, and migrators take turns.

The revision that builds an index here is made up, because the first release has only the initial one. It is the pattern
for any index on a table that requests write to.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from support.sms import asking, fresh_number, process

import sms_service
from shared.migrations.upgrade import migrate
from shared.postgres import url_of

INITIAL = "0001"
"""The revision before the one that builds an index on a table that requests write to."""
LATER = '''
"""Add an index on a table that requests write to, and a column."""

from alembic import op

revision = "0002"
down_revision = "0001"
works_from = "0001"


def upgrade() -> None:
    # First, and outside of the transaction: if anything fails from here on, the revision can run again from its start.
    with op.get_context().autocommit_block():
        # It waits for open transactions, and no request waits for it.
        op.execute("set lock_timeout = 0")
        # An interrupted build leaves an index that no query reads and every request writes to.
        op.execute("drop index concurrently if exists messages_by_client")
        op.execute("create index concurrently messages_by_client on messages (client)")
    op.execute("set local lock_timeout = '2s'")
    op.execute("alter table messages add column carrier text not null default ''")
'''
MIGRATE = "import sys; from shared.migrations.upgrade import migrate; migrate(*sys.argv[1:])"
INDEX = "select indisvalid from pg_index where indexrelid = to_regclass('messages_by_client')"
SESSIONS = "select count(*) from pg_stat_activity where datname = current_database() and "
BUILDING = SESSIONS + "query ~ '^\\s*create index concurrently' and wait_event_type = 'Lock'"
WAITING = SESSIONS + "query ~ '^select pg.*_advisory'"


@pytest.fixture
async def name(postgres_url: str) -> AsyncIterator[str]:
    """The name of a database that does not exist yet."""
    name = f"sms_{secrets.token_hex(6)}"
    yield name
    session = await asyncpg.connect(postgres_url)
    await session.execute(f'drop database if exists "{name}" with (force)')
    await session.close()


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    """A folder with a package ``next_release``: the migrations of this release and a later revision."""
    migrations = tmp_path / "next_release" / "migrations"
    shutil.copytree(Path(sms_service.__file__).parent / "migrations", migrations)
    (tmp_path / "next_release" / "__init__.py").touch()
    (migrations / "versions" / "0002_later.py").write_text(LATER)
    return tmp_path


@asynccontextmanager
async def running(*command: str, **environ: str) -> AsyncIterator[Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.communicate()


def migrating(postgres_url: str, name: str) -> AbstractAsyncContextManager[Process]:
    """The command of this release."""
    settings = {"ENVIRONMENT": "development", "POSTGRES_URL": postgres_url, "SMS_DATABASE": name}
    return running("-m", "sms_service", "migrate", **settings)


def migrating_later(postgres_url: str, name: str, next_release: Path) -> AbstractAsyncContextManager[Process]:
    """What the command of the next release does."""
    return running("-c", MIGRATE, postgres_url, name, "next_release", PYTHONPATH=str(next_release))


async def all_succeed(*migrators: Process) -> None:
    async with asyncio.timeout(30):
        outputs = await asyncio.gather(*(migrator.communicate() for migrator in migrators))
    assert [migrator.returncode for migrator in migrators] == [0] * len(migrators), outputs
    assert all(b"database.migrated" in output for output, _ in outputs)


@asynccontextmanager
async def session(postgres_url: str, name: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    opened = await asyncpg.connect(url_of(postgres_url, name))
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def writing(postgres_url: str, name: str) -> AsyncIterator[None]:
    """A request that has written to the ledger and has not ended yet."""
    async with session(postgres_url, name) as opened, opened.transaction():
        await opened.execute("lock table messages in row exclusive mode")
        yield


async def seen(watcher: "asyncpg.Connection[asyncpg.Record]", query: str) -> None:
    """Wait until a query finds a session."""
    async with asyncio.timeout(30):
        while not await watcher.fetchval(query):
            await asyncio.sleep(0)


async def test_two_migrators_at_once_make_the_whole_schema_once(postgres_url: str, name: str) -> None:
    async with migrating(postgres_url, name) as first, migrating(postgres_url, name) as second:
        await all_succeed(first, second)
    async with session(postgres_url, name) as opened:
        assert await opened.fetch("select version_num from alembic_version") == [(INITIAL,)]
        assert await opened.fetchval("select to_regclass('outbox') is not null")


async def test_codes_are_requested_while_an_index_is_built_and_a_second_migrator_waits(
    postgres_url: str, name: str, next_release: Path
) -> None:
    await asyncio.to_thread(migrate, postgres_url, name, "sms_service")
    async with session(postgres_url, name) as watcher, process(postgres_url, name) as sms:
        async with AsyncExitStack() as migrators:
            async with writing(postgres_url, name):
                first = await migrators.enter_async_context(migrating_later(postgres_url, name, next_release))
                await seen(watcher, BUILDING)
                second = await migrators.enter_async_context(migrating_later(postgres_url, name, next_release))
                await seen(watcher, WAITING)
                number = fresh_number()
                await sms.codes().issue(asking(number))
                assert len(await sms.sends(number)) == 1
            await all_succeed(first, second)
        assert await watcher.fetchval(INDEX) is True


async def test_an_interrupted_migration_is_completed_by_the_next_one(
    postgres_url: str, name: str, next_release: Path
) -> None:
    await asyncio.to_thread(migrate, postgres_url, name, "sms_service")
    async with session(postgres_url, name) as watcher:
        async with writing(postgres_url, name), migrating_later(postgres_url, name, next_release) as migrator:
            await seen(watcher, BUILDING)
            await watcher.execute(BUILDING.replace("count(*)", "pg_cancel_backend(pid)"))
            await migrator.communicate()
            assert migrator.returncode != 0
        assert await watcher.fetchval(INDEX) is False
        assert await watcher.fetchval("select version_num from alembic_version") == INITIAL

        async with migrating_later(postgres_url, name, next_release) as migrator:
            await all_succeed(migrator)

        assert await watcher.fetchval(INDEX) is True
        assert await watcher.fetchval("select version_num from alembic_version") == "0002"
        assert await watcher.fetchval("select count(carrier) from messages") == 0
