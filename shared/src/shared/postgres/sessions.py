"""Sessions on PostgreSQL: on the one of several hosts that accepts writes, and never on a standby."""

from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import structlog
from asyncpg.connect_utils import SessionAttribute

from shared.process.environment.server_urls import hosts_of
from shared.process.startup import NotReadyError
from shared.tls import NoTlsError, clearest

CONNECT_SECONDS = 2.0
"""The limit of opening a session; each host of a URL has its part of it."""

# Quoted: the stubs know the class as generic, asyncpg itself does not.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

UNAVAILABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # for example a statement between PostgreSQL's last words and the end of the stream
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What asyncpg raises for a server that is down, starting, ending the session or out of something."""

log = structlog.get_logger()


class StandbyError(NotReadyError):
    """The server answers but accepts no writes."""

    def __init__(self) -> None:
        super().__init__(
            "PostgreSQL is a standby or read-only, and no decision is read from one: name the primary in POSTGRES_URL"
        )


_PASSED_OVER = (
    *UNAVAILABLE,
    RuntimeError,  # of uvloop: closed at once
    asyncpg.InvalidCatalogNameError,  # of a standby that has not replayed a new database
    StandbyError,
    NoTlsError,
)

STARTING = (
    OSError,
    TimeoutError,
    RuntimeError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    NotReadyError,
    NoTlsError,
)
"""What opening a session raises while a server starts or fails over."""


def url_of(server: str, database: str) -> str:
    """The URL of ``server`` with its database replaced: each service has a database of its own."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{database}"))


class Primary:
    """The hosts of a URL, of which one accepts writes: the one that did so last is tried first."""

    def __init__(self, url: str) -> None:
        self._urls = hosts_of(url)

    async def open_session(self, settings: dict[str, str]) -> Connection:
        """A session on the first host that accepts writes. Raises the clearest error if none does.

        Each host has its part of the time. In asyncpg's own list, a host that accepts and stays silent uses all of it.
        """
        errors: list[Exception] = []
        for url in list(self._urls):
            try:
                session = await _open(url, CONNECT_SECONDS / len(self._urls), settings)
            except _PASSED_OVER as error:
                errors.append(error)
            else:
                self._urls.sort(key=lambda each: each != url)
                return session
        if len(errors) > 1:
            log.warning("postgres.hosts_failed", errors=[type(error).__name__ for error in errors])
        missing = [error for error in errors if isinstance(error, asyncpg.InvalidCatalogNameError)]
        raise clearest(missing or errors)  # a host that has no such database may be the one to create it on


async def open_session(url: str, settings: dict[str, str]) -> Connection:
    """A session on the host of ``url`` that accepts writes, as ``Primary`` finds it."""
    return await Primary(url).open_session(settings)


async def _open(url: str, seconds: float, settings: dict[str, str]) -> Connection:
    """A session on one host. Raises ``StandbyError``, ``NoTlsError`` and what asyncpg does."""
    try:
        return await asyncpg.connect(
            url, timeout=seconds, server_settings=settings, target_session_attrs=SessionAttribute.read_write
        )
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise StandbyError from error
    except ConnectionError as error:
        if "rejected SSL upgrade" in str(error):
            raise NoTlsError("PostgreSQL refused TLS") from error
        raise
