"""Which errors of TLS end a start at once, however a driver wraps them, and which error is reported of several."""

import asyncio
import ssl

import aio_pika
import pytest
from aio_pika.exceptions import AMQPConnectionError

from shared.process import startup
from shared.process.startup import UnreachableError, wait_for_server
from shared.tls import NoTlsError, clearest, tls_problem


def certificate_error(text: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = text
    return error


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def wrapped(error: Exception) -> Exception:
    """As redis-py does: raised while the first is handled, and then once more."""
    try:
        try:
            raise error
        except (OSError, NoTlsError):
            raise ConnectionError("Error 1 connecting") from None
    except ConnectionError as outer:
        again = RuntimeError("cannot be connected")
        again.__cause__ = outer
        return again


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (certificate_error("Hostname mismatch, certificate is not valid for 'db'."), "not valid for 'db')"),
        (certificate_error("self-signed certificate"), "not accepted (self-signed certificate)"),
        (tls_error("WRONG_VERSION_NUMBER"), "it does not speak TLS there"),
        (NoTlsError("PostgreSQL refused TLS"), "it does not speak TLS there"),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "it does not accept our certificate"),
        (tls_error("UNEXPECTED_EOF_WHILE_READING"), ""),
        (ConnectionRefusedError(), ""),
    ],
)
def test_a_problem_with_tls_is_found_in_what_a_driver_raises(error: Exception, text: str) -> None:
    for each in (error, wrapped(error)):
        assert text in tls_problem(each)
        assert bool(tls_problem(each)) is bool(text)


def test_of_several_hosts_the_error_that_waiting_does_not_mend_is_reported() -> None:
    wrong_name, refused = certificate_error("Hostname mismatch"), ConnectionRefusedError()
    assert clearest([wrong_name, refused]) is wrong_name
    assert clearest([TimeoutError(), refused]) is refused


def test_a_circle_of_errors_is_searched_once() -> None:
    first, second = ConnectionError("first"), ConnectionError("second")
    first.__cause__, second.__context__ = second, first
    assert tls_problem(first) == ""
    assert clearest([first]) is first


async def test_a_broker_that_closes_a_connection_at_once_has_no_problem_with_tls() -> None:
    """A proxy without a broker behind it does so. What aiormq raises then is a circle of errors."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        with pytest.raises(AMQPConnectionError) as lost:
            await aio_pika.connect(f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert tls_problem(lost.value) == ""


async def test_a_wrong_certificate_ends_the_start_without_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "FIRST_DELAY_SECONDS", 3600)
    tries = 0

    async def connect() -> None:
        nonlocal tries
        tries += 1
        raise certificate_error("Hostname mismatch")

    with pytest.raises(UnreachableError) as report:
        await wait_for_server("Redis", "REDIS_URL", "rediss://app:secret@cache/0", connect, on=(OSError,))
    assert str(report.value) == (
        "Redis at cache: its certificate is not accepted (Hostname mismatch): correct it, or REDIS_URL"
    )
    assert tries == 1
