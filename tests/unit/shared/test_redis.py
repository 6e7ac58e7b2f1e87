"""The client of Redis: what it waits for at start."""

from collections.abc import Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError

from shared import redis
from shared.process import startup


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "FIRST_DELAY_SECONDS", 0.001)


async def test_a_start_waits_for_a_server_that_resets_refuses_or_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: Iterator[Exception] = iter(
        [
            RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
            ConnectionResetError(),
            BusyLoadingError("loading the data set"),
            TimeoutError(),
        ]
    )

    async def ping(_: Redis) -> bool:
        for error in errors:
            raise error
        return True

    monkeypatch.setattr(Redis, "ping", ping)
    async with redis.client("redis://127.0.0.1:1/0") as client:
        assert await client.ping()
    assert next(errors, None) is None
