"""A process on a schema that it does not work with ends with one line and status 1, and never serves."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest
from stack.services import PROGRAMS
from stack.system import Stack

from shared.migrations.upgrade import migrate
from shared.postgres import url_of

DATABASES = {
    "auth-service": "AUTH_DATABASE",
    "sms-service": "SMS_DATABASE",
    "sms-worker": "SMS_DATABASE",
    "contacts-service": "CONTACTS_DATABASE",
}
TOO_NEW = "update alembic_version set version_num = '0009', works_from = '0009'"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[str]:
    """The name of a database that does not exist yet."""
    name = f"unfit_{secrets.token_hex(4)}"
    yield name
    session = await asyncpg.connect(postgres_url)
    await session.execute(f'drop database if exists "{name}" with (force)')
    await session.close()


@pytest.mark.parametrize("process", DATABASES)
async def test_a_process_ends_with_one_line_on_a_schema_that_is_too_new(
    servers: Stack, postgres_url: str, database: str, process: str
) -> None:
    program = PROGRAMS[process]
    await asyncio.to_thread(migrate, postgres_url, database, program.module)
    session = await asyncpg.connect(url_of(postgres_url, database))
    await session.execute(TOO_NEW)
    await session.close()

    environ = servers.environ_of(process) | {"POSTGRES_URL": postgres_url, DATABASES[process]: database}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", program.module, *program.arguments,
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await started.communicate()

    assert started.returncode == 1
    assert b"service.ready" not in out
    lines = err.decode().splitlines()
    assert [line for line in lines if "cannot run" in line] == lines
    assert len(lines) == 1
    assert "the schema is at revision 0009, too new for this release, which has 0001" in lines[0]
