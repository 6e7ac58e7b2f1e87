"""Why TLS to a server failed for good: a certificate that is not accepted, or a server without TLS."""

import ssl
from collections.abc import Iterator, Sequence

NO_TLS = "WRONG_VERSION_NUMBER"
NO_CERTIFICATE = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA"})


class NoTlsError(Exception):
    """The server answered, in plain text."""


def tls_problem(error: BaseException) -> str:
    """What is wrong, in words; empty if the error is another one, or one that may pass. It quotes no secret."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted ({each.verify_message.rstrip('.')})"
        reason = each.reason if isinstance(each, ssl.SSLError) else ""
        if reason == NO_TLS or isinstance(each, NoTlsError):
            return "it does not speak TLS there"
        if reason in NO_CERTIFICATE:
            return "it does not accept our certificate"
    return ""


def clearest(errors: Sequence[Exception]) -> Exception:
    """The error to report when no host serves: the first one about TLS, which waiting does not mend, else the last."""
    return next(filter(tls_problem, errors), errors[-1])


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from, each once. Drivers wrap the errors of TLS in their own.

    The chain may be a circle: aiormq makes one of the reset of a broker that closes a connection at once.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
