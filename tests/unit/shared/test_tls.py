"""Which errors of TLS end a start at once, however a driver wraps them, and which error is reported of several."""

import ssl

import pytest

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


def test_an_error_that_is_raised_again_from_what_it_led_to_is_searched_once() -> None:
    """As aiormq does with the error that ended its connection. The chain of such an error is a circle."""
    kept = RuntimeError("the connection ended")
    try:
        raise kept
    except RuntimeError:
        try:
            raise ConnectionError("while it was handled")
        except ConnectionError as led_to:
            kept.__cause__ = led_to

    assert kept.__cause__.__context__ is kept
    assert tls_problem(kept) == ""
    assert clearest([kept]) is kept


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
