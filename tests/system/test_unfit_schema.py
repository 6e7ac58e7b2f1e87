"""A process on a schema that it does not work with ends with one line and status 1, and never serves."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
from stack.services import PROGRAMS
from stack.system import Stack
from support.starts import failed_start

from shared.migrations.upgrade import ensure_database, migrate
from shared.postgres import url_of

DATABASES = {
    "auth-service": "AUTH_DATABASE",
    "sms-service": "SMS_DATABASE",
    "sms-worker": "SMS_DATABASE",
    "contacts-service": "CONTACTS_DATABASE",
}
PROCESSES = pytest.mark.parametrize("process", DATABASES)
REVISION = "update alembic_version set version_num = $1::text, works_from = $1::text"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[str]:
    """The name of a database that does not exist yet."""
    name = f"unfit_{secrets.token_hex(4)}"
    yield name
    session = await asyncpg.connect(postgres_url)
    await session.execute(f'drop database if exists "{name}" with (force)')
    await session.close()


async def line_of(process: str, database: str, servers: Stack, postgres_url: str) -> str:
    """The one line with which a process ends on this database, without having served."""
    own = {"POSTGRES_URL": postgres_url, DATABASES[process]: database}
    end = await failed_start(process, servers.environ_of(process) | own)
    assert (end.status, end.served) == (1, False)
    (line,) = end.lines
    assert line.startswith(f"{process} cannot run: ")
    return line


async def migrate_to(revision: str, process: str, database: str, postgres_url: str) -> None:
    """A schema whose migrations have reached a revision: those of this release, or of another one."""
    await asyncio.to_thread(migrate, postgres_url, database, PROGRAMS[process].module)
    session = await asyncpg.connect(url_of(postgres_url, database))
    await session.execute(REVISION, revision)
    await session.close()


@PROCESSES
async def test_a_process_ends_with_one_line_on_a_schema_that_is_too_new(
    servers: Stack, postgres_url: str, database: str, process: str
) -> None:
    await migrate_to("0009", process, database, postgres_url)
    line = await line_of(process, database, servers, postgres_url)
    assert "the schema is at revision 0009, too new for this release, which has 0001" in line


@PROCESSES
async def test_a_process_ends_with_one_line_on_a_schema_that_is_half_migrated(
    servers: Stack, postgres_url: str, database: str, process: str
) -> None:
    await migrate_to("0000", process, database, postgres_url)
    line = await line_of(process, database, servers, postgres_url)
    assert "the schema is at revision 0000, and this release needs 0001: run the migrations" in line


@PROCESSES
async def test_a_process_ends_with_one_line_on_a_database_that_was_never_migrated(
    servers: Stack, postgres_url: str, database: str, process: str
) -> None:
    await ensure_database(postgres_url, database)
    line = await line_of(process, database, servers, postgres_url)
    assert "the database has no tables yet: run the migrations" in line
