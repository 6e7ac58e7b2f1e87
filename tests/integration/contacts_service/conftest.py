"""The database of contacts-service in these tests."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.migrations.upgrade import migrate


@pytest.fixture(scope="module")
async def database(postgres_url: str) -> AsyncIterator[str]:
    """The name of a database of contacts-service, for the tests of one module."""
    name = f"contacts_{secrets.token_hex(4)}"
    try:
        await asyncio.to_thread(migrate, postgres_url, name, "contacts_service")
        yield name
    finally:
        session = await asyncpg.connect(postgres_url)
        await session.execute(f'drop database if exists "{name}" with (force)')
        await session.close()
