"""What tests of the project's own ``shared`` package have in common."""

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.migrations.upgrade import ensure_database


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[str]:
    """An empty database of its own."""
    name = f"pool_{secrets.token_hex(4)}"
    await ensure_database(postgres_url, name)
    yield name
    session = await asyncpg.connect(postgres_url)
    await session.execute(f'drop database "{name}" with (force)')
    await session.close()
