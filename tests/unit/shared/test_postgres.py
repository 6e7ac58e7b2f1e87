"""What counts as an outage of PostgreSQL, and which connections go back to the pool."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from shared.errors import ErrorCode, ServiceError
from shared.postgres import NotMigratedError, Pool, PoolerError, connection, open_session, pool, sessions, transaction


class Session:
    """A connection whose statements raise ``error``."""

    def __init__(self, error: Exception | None = None, *, ends: bool = False) -> None:
        self._error = error
        self._ends = ends
        self.closed = False

    async def fetchval(self, query: str, *_: object) -> int:
        self.closed = self.closed or self._ends
        if self._error is not None:
            raise self._error
        return len(query)

    async def execute(self, query: str) -> None:
        await self.fetchval(query)

    def is_closed(self) -> bool:
        return self.closed

    def is_in_transaction(self) -> bool:
        return False

    def terminate(self) -> None:
        self.closed = True


def pool_of(*sessions: Any) -> Pool:
    waiting = list(sessions)

    async def connect() -> Any:
        session = waiting.pop(0)
        if isinstance(session, Exception):
            raise session
        return session

    return Pool(connect, size=1)


def fatal(kind: type[asyncpg.PostgresError]) -> asyncpg.PostgresError:
    error = kind("the session ends")
    error.severity_en = "FATAL"
    return error


OUTAGES = [
    asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.ProtocolError("unexpected message"),
    asyncpg.OutdatedSchemaCacheError("the schema changed"),
    asyncpg.InvalidCachedStatementError("cached plan must not change result type"),
    asyncpg.AdminShutdownError("terminating connection"),
    asyncpg.CannotConnectNowError("starting up"),
    asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"),
    asyncpg.TooManyConnectionsError("too many clients"),
    asyncpg.DiskFullError("no space left"),
    asyncpg.PostgresIOError("could not read block"),
    asyncpg.ReadOnlySQLTransactionError("a standby"),
    asyncpg.DeadlockDetectedError("deadlock"),
    fatal(asyncpg.IdleInTransactionSessionTimeoutError),
    fatal(asyncpg.InvalidPasswordError),
    ConnectionResetError(),
]


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: type(error).__name__)
async def test_an_outage_is_refused_as_busy_and_its_connection_never_returns_to_the_pool(error: Exception) -> None:
    broken, fresh = Session(error), Session()
    pool = pool_of(broken, fresh)

    with pytest.raises(ServiceError) as refusal:
        await pool.fetchval("select 1")

    assert (refusal.value.code, refusal.value.retry_after) == (ErrorCode.UNAVAILABLE, 1)
    assert broken.closed
    assert await pool.fetchval("select 1")
    assert not fresh.closed


async def test_any_error_of_a_connection_that_has_ended_is_an_outage() -> None:
    pool = pool_of(Session(RuntimeError("the handler is closed"), ends=True))

    with pytest.raises(ServiceError):
        await pool.fetchval("select 1")


@pytest.mark.parametrize("error", [NotMigratedError("no database"), RuntimeError("closed"), EOFError()])
async def test_any_error_while_connecting_is_an_outage(error: Exception) -> None:
    with pytest.raises(ServiceError) as refusal:
        await pool_of(error).fetchval("select 1")
    assert refusal.value.code is ErrorCode.UNAVAILABLE


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError("taken"),
        asyncpg.UndefinedTableError("a bug"),
        asyncpg.DataError("out of range"),
        ServiceError(ErrorCode.NUMBER_TAKEN),
    ],
)
async def test_a_rejected_statement_keeps_its_error_and_its_connection(error: Exception) -> None:
    session = Session(error)
    pool = pool_of(session)

    with pytest.raises(type(error)):
        await pool.fetchval("select 1")
    assert not session.closed
    async with connection(pool) as again:
        assert again is session


async def refuse_while_ending(pool: Pool, session: Session) -> None:
    async with transaction(pool):
        session._error = OUTAGES[0]
        raise ServiceError(ErrorCode.NUMBER_TAKEN)


async def test_a_transaction_whose_session_ends_before_its_rollback_is_an_outage() -> None:
    session = Session()

    with pytest.raises(ServiceError) as refusal:
        await refuse_while_ending(pool_of(session), session)
    assert refusal.value.code is ErrorCode.UNAVAILABLE
    assert session.closed


@pytest.mark.parametrize("code", [ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL])
def test_the_refusal_of_an_outage_always_tells_when_to_retry(code: ErrorCode) -> None:
    assert ServiceError(code).retry_after == 1
    assert ServiceError(code, retry_after=3).retry_after == 3


Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def listen(accept: Accept) -> tuple[asyncio.Server, str]:
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    return server, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def refusing(severity: bytes, code: bytes, text: bytes) -> Accept:
    """A server that answers every session with one error of PostgreSQL's protocol."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # a request for TLS
        writer.write(b"N")
        await reader.read(4096)
        fields = b"S" + severity + b"\0V" + severity + b"\0C" + code + b"\0M" + text + b"\0\0"
        writer.write(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
        await writer.drain()
        writer.close()

    return accept


NO_DATABASE = refusing(b"FATAL", b"3D000", b"there is no such database")


@pytest.mark.parametrize("first", [silent, reset, refusing(b"FATAL", b"57P03", b"starting up"), NO_DATABASE])
async def test_a_host_that_does_not_serve_is_passed_over_in_time(
    first: Accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CONNECT_SECONDS", 0.4)
    passed, one = await listen(first)
    last, two = await listen(refusing(b"FATAL", b"28P01", b"the second host has answered"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await open_session(f"postgresql://app:secret@{one},{two}/auth", {})
    passed.close()
    last.close()


@pytest.mark.parametrize("second", [reset, refusing(b"FATAL", b"57P03", b"starting up"), NO_DATABASE])
async def test_a_database_that_one_host_misses_and_no_host_serves_is_to_be_created(second: Accept) -> None:
    primary, one = await listen(NO_DATABASE)
    standby, two = await listen(second)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await open_session(f"postgresql://app:secret@{one},{two}/auth", {})
    primary.close()
    standby.close()


async def test_a_pooler_that_knows_no_session_settings_ends_the_start_with_one_line() -> None:
    server, address = await listen(refusing(b"FATAL", b"08P01", b"unsupported startup parameter: statement_timeout"))
    with pytest.raises(PoolerError) as report:
        async with pool(f"postgresql://app:secret@{address}", "auth"):
            pass
    server.close()
    assert "POSTGRES_URL" in str(report.value)
    assert "\n" not in str(report.value)
    assert "secret" not in str(report.value)


@pytest.mark.parametrize(("setting", "refused"), [("0", True), ("1900", False)])
async def test_a_pooler_that_ignores_session_settings_ends_the_start(
    setting: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pooled(Session):
        async def fetchval(self, *_: object) -> Any:
            return setting

        async def close(self, **_: object) -> None:
            self.closed = True

    async def connect(*_: object, **__: object) -> Pooled:
        return Pooled()

    async def start() -> bool:
        async with pool("postgresql://server", "auth"):
            return True

    monkeypatch.setattr(asyncpg, "connect", connect)
    if refused:
        with pytest.raises(PoolerError):
            await start()
    else:
        assert await start()
