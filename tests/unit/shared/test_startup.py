"""A server that cannot be reached at start is retried, then reported by name and by the variable that names it."""

import pytest

from shared.process import startup
from shared.process.startup import UnreachableError, wait_for_server

URL = "amqp://somebody:secret@broker.internal:5672/"


async def test_a_server_that_comes_up_late_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "STARTUP_TIMEOUT_SECONDS", 5.0)
    failures = iter([ConnectionRefusedError(), OSError("starting")])

    async def connect() -> str:
        for failure in failures:
            raise failure
        return "connected"

    assert await wait_for_server("RabbitMQ", "AMQP_URL", URL, connect, on=(OSError,)) == "connected"


async def test_a_server_that_stays_away_is_reported_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "STARTUP_TIMEOUT_SECONDS", 0.2)

    async def connect() -> None:
        raise ConnectionRefusedError

    with pytest.raises(UnreachableError) as report:
        await wait_for_server("RabbitMQ", "AMQP_URL", URL, connect, on=(OSError,))
    said = str(report.value)
    assert "RabbitMQ" in said
    assert "AMQP_URL" in said
    assert "broker.internal:5672" in said
    assert "secret" not in said


async def test_a_bug_is_not_waited_for() -> None:
    async def connect() -> None:
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        await wait_for_server("RabbitMQ", "AMQP_URL", URL, connect, on=(OSError,))
