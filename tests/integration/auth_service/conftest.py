"""Fixtures for these tests: each module has an auth-service of its own."""

from collections.abc import AsyncIterator

import pytest
from support.auth import Auth, running


@pytest.fixture(scope="module")
async def auth(postgres_url: str, amqp_url: str) -> AsyncIterator[Auth]:
    async with running(postgres_url, amqp_url) as auth:
        yield auth
