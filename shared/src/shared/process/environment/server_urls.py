"""URLs of servers: one host or several, with TLS or without. A wrong URL is refused in a line without its password."""

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFYING = ("verify-ca", "verify-full")
WRITABLE = ("read-write", "primary")
"""The hosts of PostgreSQL that ``target_session_attrs`` may ask for: a standby is behind, so it decides nothing."""


@dataclass(frozen=True)
class UrlForm:
    """The URLs of one kind of server: their schemes, the parameters that name files, and all other parameters.

    ``authorities`` is the parameter with the file of certificate authorities. None as ``others`` allows any parameter.
    """

    schemes: tuple[str, ...]
    authorities: str
    files: frozenset[str]
    others: frozenset[str] | None


POSTGRES = UrlForm(
    ("postgresql", "postgres"), "sslrootcert", frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"}), None
)
AMQP = UrlForm(("amqp", "amqps"), "cafile", frozenset({"cafile", "certfile", "keyfile"}), frozenset({"auth"}))
REDIS = UrlForm(
    REDIS_SCHEMES,
    "ssl_ca_certs",
    frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}),
    frozenset({"username", "password", "db", "protocol", "client_name", "sentinel_username", "sentinel_password"}),
)


def hosts_of(url: str) -> list[str]:
    """A URL for each host of a URL with several, such as ``amqps://user@one:5671,two:5671/``."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")]


def parameters_of(url: str) -> dict[str, str]:
    """The parameters in the query of a URL."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def check_postgres_url(url: str) -> str:
    """The URL. Raises ``ValueError`` unless it leads to hosts that accept writes, with TLS as asyncpg configures it."""
    parameters = _checked(url, POSTGRES)
    if parameters.get("target_session_attrs", WRITABLE[0]) not in WRITABLE:
        raise ValueError("target_session_attrs must be read-write: no decision is read from a standby")
    mode = parameters.get("sslmode", "prefer")
    if mode not in SSL_MODES:
        raise ValueError(f"sslmode is none of {', '.join(SSL_MODES)}")
    if mode in VERIFYING and POSTGRES.authorities not in parameters:
        raise ValueError(f"sslmode={mode} needs sslrootcert=<file with the certificate authority>")
    if mode not in VERIFYING and POSTGRES.authorities in parameters:
        raise ValueError("sslrootcert needs sslmode=verify-full, or the server's name is not verified")
    return url


def check_amqp_url(url: str) -> str:
    """The URL. Raises ``ValueError``."""
    _refuse_useless_files(_checked(url, AMQP), AMQP, urlsplit(url).scheme, "amqps")
    return url


def check_redis_url(url: str) -> str:
    """The URL: of one server, of the Sentinels of a service, or of nodes of a Cluster. Raises ``ValueError``."""
    parameters = _checked(url, REDIS)
    parts = urlsplit(url)
    _, plus, kind = parts.scheme.partition("+")
    _refuse_useless_files(parameters, REDIS, parts.scheme, f"rediss{plus}{kind}")
    _REDIS_KINDS.get(kind, _check_one_redis)(parts)
    return url


def _check_one_redis(parts: SplitResult) -> None:
    if "," in parts.netloc.rpartition("@")[2]:
        raise ValueError("expected one host: several need redis+sentinel:// or redis+cluster://")


def _check_sentinels(parts: SplitResult) -> None:
    service, _, database = parts.path.strip("/").partition("/")
    if not service or not (database or "0").isdecimal():
        raise ValueError(f"expected {parts.scheme}://host:26379,host:26379/service, the name that the Sentinels watch")


def _check_cluster(parts: SplitResult) -> None:
    if parts.path.strip("/") not in {"", "0"}:
        raise ValueError("a Redis Cluster has database 0 only")


_REDIS_KINDS: Mapping[str, Callable[[SplitResult], None]] = {"sentinel": _check_sentinels, "cluster": _check_cluster}


def _checked(url: str, form: UrlForm) -> dict[str, str]:
    """The parameters of a URL whose scheme, hosts, parameters and files are right. Raises ``ValueError``."""
    if not _has_form(url, form):
        raise ValueError(f"expected {form.schemes[0]}://host:port")
    parameters = parameters_of(url)
    if form.others is not None:
        _refuse_unknown(parameters, form.files | form.others)
    for name in sorted(form.files & parameters.keys()):
        _check_file(name, parameters[name], are_authorities=name == form.authorities)
    return parameters


def _refuse_unknown(parameters: Mapping[str, str], known: frozenset[str]) -> None:
    if unknown := sorted(parameters.keys() - known):
        raise ValueError(f"has no parameter {unknown[0]!r}: known are {', '.join(sorted(known))}")


def _has_form(url: str, form: UrlForm) -> bool:
    """Whether the scheme is known, and each host has a name and a port that is a number. A socket has neither."""
    try:
        parts = urlsplit(url)
        hosts = [urlsplit(each) for each in hosts_of(url)]
        names = [(host.hostname, host.port) for host in hosts]
    except ValueError:  # its text quotes the URL
        return False
    is_socket = "host=" in parts.query or parts.scheme == "unix"
    return parts.scheme in form.schemes and (is_socket or all(name for name, _ in names))


def _check_file(name: str, path: str, *, are_authorities: bool) -> None:
    if not os.access(path, os.R_OK):
        raise ValueError(f"{name} names a file that is missing or unreadable: {path}")
    if are_authorities:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except ssl.SSLError:
            raise ValueError(f"{name} names a file without a certificate in PEM: {path}") from None


def _refuse_useless_files(parameters: Mapping[str, str], form: UrlForm, scheme: str, encrypted: str) -> None:
    """Raises ``ValueError`` for files of TLS unless the scheme is the encrypted one: its driver would ignore them."""
    if scheme != encrypted and (useless := sorted(form.files & parameters.keys())):
        raise ValueError(f"{useless[0]} needs {encrypted}://: this URL is not encrypted")
