"""Servers at start: wait for each of them for a minute, and refuse a session of PostgreSQL that is not fit to serve."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import structlog

from shared.tls import tls_problem

STARTUP_TIMEOUT_SECONDS = 60.0
ATTEMPT_SECONDS = 10.0
FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 2.0

log = structlog.get_logger()
T = TypeVar("T")


class UnreachableError(Exception):
    """A server that the process needs did not answer in time."""


class NotReadyError(Exception):
    """The server answers, but is not ready for this process yet. The text says what to do."""


async def wait_for_server(
    server: str, variable: str, url: str, connect: Callable[[], Awaitable[T]], *, on: tuple[type[Exception], ...]
) -> T:
    """Call ``connect`` until it succeeds. Raises ``UnreachableError`` after 60 s with the server and its variable.

    It raises that at once for a certificate that is not accepted, and for a server without the TLS that the URL wants.
    ``on`` lists the errors to retry: refused, timed out, still starting. Any other error is a bug and is raised.
    """
    started = time.monotonic()
    delay = FIRST_DELAY_SECONDS
    address = _address(url)
    while True:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                return await connect()
        except on as error:
            if problem := tls_problem(error):  # which waiting does not mend
                raise UnreachableError(f"{server} at {address}: {problem}: correct it, or {variable}") from error
            elapsed = time.monotonic() - started
            if elapsed + delay > STARTUP_TIMEOUT_SECONDS:
                raise UnreachableError(_report(error, server, variable, address, elapsed)) from error
            log.warning("server.waiting", server=server, address=address, error=_names(error))
        await asyncio.sleep(delay)
        delay = min(delay * 2, MAX_DELAY_SECONDS)


def _report(error: Exception, server: str, variable: str, address: str, elapsed: float) -> str:
    if isinstance(error, NotReadyError):
        return f"{error} (waited for {elapsed:.0f} s)"
    reason = f"cannot reach {server} at {address} after {elapsed:.0f} s ({_reason(error)})"
    return f"{reason}: start it, or set {variable}"


def _address(url: str) -> str:
    """The hosts and ports of a URL, without its user and password."""
    return urlsplit(url).netloc.rpartition("@")[2] or "its socket"


def _reason(error: Exception) -> str:
    """The error's text if the class is ours, else only names: a driver may quote the URL with its password."""
    return str(error) if type(error).__module__.startswith("shared.") else _names(error)


def _names(error: BaseException) -> str:
    """The class of an error, and those of its causes: a driver has one class for refused, silent and unknown hosts."""
    name, cause = type(error).__name__, error.__cause__
    return name if cause is None else f"{name} from {_names(cause)}"


# Who may create tables is a superuser, the owner of the database or of its schema, or was granted it.
PRIVILEGED = """
    select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls
        or has_schema_privilege('public', 'create') or has_database_privilege(current_database(), 'create')
    from pg_roles
    where rolname = current_user
"""


class Session(Protocol):
    async def fetchval(self, query: str, /) -> Any:
        """The first value of the first row."""


class PoolerError(UnreachableError):
    """A pooler stands before PostgreSQL and drops the settings of our sessions, or shares them between transactions."""

    def __init__(self) -> None:
        super().__init__(
            "POSTGRES_URL leads to a pooler that drops session settings (PgBouncer): set it to the address of "
            "PostgreSQL itself, because each process keeps a small pool of its own"
        )


class PrivilegedRoleError(UnreachableError):
    """The role may do more than read and change rows."""

    def __init__(self) -> None:
        super().__init__(
            "POSTGRES_URL names a role that may change the schema, or more: a service in production needs a role that "
            "owns nothing (docs/security/least-privilege.md)"
        )


async def refuse_pooler(session: Session, statement_timeout: str) -> None:
    """Raises ``PoolerError`` if the session does not have our settings: statements and locks would have no limit."""
    timeout = await session.fetchval("select setting from pg_settings where name = 'statement_timeout'")
    if timeout != statement_timeout:
        raise PoolerError


async def refuse_privileges(session: Session) -> None:
    """Raises ``PrivilegedRoleError`` if the role may create tables or roles, or more."""
    if await session.fetchval(PRIVILEGED):
        raise PrivilegedRoleError
