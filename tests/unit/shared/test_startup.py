"""A server that is unreachable at start is retried, then reported with its name and its variable."""

import pytest
import structlog
import structlog.testing

from shared.process import startup
from shared.process.startup import UnreachableError, wait_for_server

URL = "amqp://app:secret@broker.internal:5672/"


async def test_a_server_that_starts_late_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "STARTUP_TIMEOUT_SECONDS", 5.0)
    failures = iter([ConnectionRefusedError(), OSError("starting")])

    async def connect() -> str:
        for failure in failures:
            raise failure
        return "connected"

    assert await wait_for_server("RabbitMQ", "AMQP_URL", URL, connect, on=(OSError,)) == "connected"


async def test_an_unreachable_server_is_reported_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "STARTUP_TIMEOUT_SECONDS", 0.2)

    async def connect() -> None:
        raise ConnectionRefusedError

    with pytest.raises(UnreachableError) as report:
        await wait_for_server("RabbitMQ", "AMQP_URL", URL, connect, on=(OSError,))
    message = str(report.value)
    assert "RabbitMQ" in message
    assert "AMQP_URL" in message
    assert "broker.internal:5672" in message
    assert "secret" not in message


async def test_a_line_about_a_server_that_is_waited_for_names_what_the_driver_hides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(startup, "STARTUP_TIMEOUT_SECONDS", 0.2)

    class DriverError(Exception):
        """What a driver raises, whatever the reason."""

    async def connect() -> None:
        raise DriverError("amqp://app:secret@broker") from ConnectionRefusedError("secret")

    with structlog.testing.capture_logs() as lines, pytest.raises(UnreachableError) as report:
        await wait_for_server("RabbitMQ", "AMQP_URL", URL, connect, on=(DriverError,))
    assert {line["error"] for line in lines} == {"DriverError from ConnectionRefusedError"}
    assert "(DriverError from ConnectionRefusedError)" in str(report.value)
    assert "secret" not in str(report.value)


async def test_an_unexpected_error_is_not_retried() -> None:
    async def connect() -> None:
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        await wait_for_server("RabbitMQ", "AMQP_URL", URL, connect, on=(OSError,))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:secret@one:5432,two:5433/auth", "at one:5432,two:5433 after"),
        ("postgresql:///auth?host=/run/postgresql&password=secret", "at its socket after"),
        ("redis://:secret@[::1]:6379/0", "at [::1]:6379 after"),
        ("redis://:secret@cache:port/0", "at cache:port after"),
    ],
)
async def test_a_report_shows_the_hosts_of_any_url(url: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "STARTUP_TIMEOUT_SECONDS", 0.05)

    async def connect() -> None:
        raise ConnectionRefusedError

    with pytest.raises(UnreachableError) as report:
        await wait_for_server("a server", "ITS_URL", url, connect, on=(OSError,))
    assert shown in str(report.value)
    assert "secret" not in str(report.value)
