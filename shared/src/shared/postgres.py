"""PostgreSQL: a pool per process, a deadline on every use of it, and alembic for the schema."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import structlog

from shared.errors import unavailable
from shared.process.startup import UnreachableError, wait_for_server

DEADLINE_SECONDS = 2.0
"""For one use of a connection: waiting for it and every statement on it."""

# Quoted: the stubs know the class as generic, asyncpg itself does not.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
SERVER_SETTINGS = {
    "statement_timeout": "1900",
    "lock_timeout": "1500",
    "idle_in_transaction_session_timeout": "15000",
    "jit": "off",
}

log = structlog.get_logger()

_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)


class NotMigratedError(Exception):
    """The server is there, the service's database is not: ``python -m <service> migrate`` makes it."""


_NOT_YET = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, NotMigratedError)


def url_of(server: str, database: str) -> str:
    """``server`` with its database replaced: each service keeps to its own."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{database}"))


class Pool:
    """Up to ``size`` connections, the most recently used first.

    asyncpg's own pool makes a task for every release and resets each session; a statement costs half without. Here no
    code changes a session's state, and a connection that was left in the middle of anything is thrown away.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self._connect = connect
        self._turns = asyncio.Semaphore(size)
        self._idle: list[Connection] = []

    async def take(self) -> Connection:
        """A connection of one's own, until it is given back; waits while all are taken."""
        await self._turns.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
            return await self._connect()
        except BaseException:
            self._turns.release()
            raise

    def give_back(self, connection: Connection, *, intact: bool) -> None:
        """Return what was taken. Unless it is ``intact``, no statement running and no transaction open, it ends."""
        if not intact or connection.is_in_transaction():
            connection.terminate()
        elif not connection.is_closed():
            self._idle.append(connection)
        self._turns.release()

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement, within the deadline of ``connection``; the other three are alike."""
        async with connection(self) as conn:
            return await conn.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: object) -> asyncpg.Record | None:
        async with connection(self) as conn:
            return await conn.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        async with connection(self) as conn:
            return await conn.fetchval(query, *arguments)

    async def execute(self, query: str, *arguments: object) -> None:
        async with connection(self) as conn:
            await conn.execute(query, *arguments)

    async def close(self) -> None:
        """Say goodbye on the idle connections; one that is taken ends with its use."""
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.close(timeout=2)
            except (OSError, TimeoutError, asyncpg.InterfaceError):
                connection.terminate()


@asynccontextmanager
async def pool(server: str, database: str, *, size: int = 10) -> AsyncIterator[Pool]:
    """Connections to a service's database, once it can be reached."""
    settings = SERVER_SETTINGS | {"application_name": f"haoma-{database}"}

    async def connect() -> Connection:
        try:
            return await asyncpg.connect(url_of(server, database), timeout=2, server_settings=settings)
        except asyncpg.InvalidCatalogNameError as error:
            raise NotMigratedError(f'there is no database "{database}" yet: run the migrations') from error

    opened = Pool(connect, size)
    opened.give_back(await wait_for_server("PostgreSQL", "POSTGRES_URL", server, opened.take, on=_NOT_YET), intact=True)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def connection(pool: Pool, seconds: float = DEADLINE_SECONDS) -> AsyncIterator[Connection]:
    """A connection for a few statements, within the deadline.

    Raises ``ServiceError(UNAVAILABLE)`` when PostgreSQL is away, frozen or out of connections. A connection
    whose statement was cut short is thrown away: waiting for its cancellation could take longer still.
    """
    conn: Connection | None = None
    intact = False
    try:
        async with asyncio.timeout(seconds):
            conn = await pool.take()
            yield conn
        intact = True
    except TimeoutError as error:
        log.warning("postgres.slow")
        raise unavailable() from error
    except _AWAY as error:
        log.warning("postgres.unavailable", error=type(error).__name__)
        raise unavailable() from error
    except Exception:
        intact = True  # a refusal of ours, or a statement that PostgreSQL refused: the session is well
        raise
    finally:
        if conn is not None:
            pool.give_back(conn, intact=intact)


@asynccontextmanager
async def transaction(pool: Pool, seconds: float = DEADLINE_SECONDS) -> AsyncIterator[Connection]:
    """As ``connection``, inside one transaction.

    Written out, because asyncpg's own ends with a ROLLBACK that waits for a silent server, past every deadline. When
    the deadline comes the connection is thrown away, which undoes everything too.
    """
    async with connection(pool, seconds) as conn:
        await conn.execute("begin")
        try:
            yield conn
        except Exception:
            await conn.execute("rollback")
            raise
        await conn.execute("commit")


def is_rolled_back(refusal: BaseException) -> bool:
    """Whether a refusal by ``connection`` was for a row that another session held: the statement has done nothing."""
    return isinstance(refusal.__cause__, asyncpg.LockNotAvailableError | asyncpg.TransactionRollbackError)


async def ping(pool: Pool) -> None:
    """For readiness."""
    await pool.fetchval("select 1")


async def ensure_database(server: str, database: str) -> None:
    """Create a service's database on the server where it is missing. Safe to run at once from many places."""

    async def connect() -> "asyncpg.Connection[Any]":
        return await asyncpg.connect(server, timeout=2)

    session = await wait_for_server("PostgreSQL", "POSTGRES_URL", server, connect, on=_NOT_YET)
    try:
        if not await session.fetchval("select true from pg_database where datname = $1", database):
            await session.execute(f'create database "{database}"')
            log.info("database.created", database=database)
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        log.info("database.exists", database=database)
    finally:
        await session.close()


def migrate(server: str, database: str, package: str) -> None:
    """Bring a service's schema up to date with the revisions in ``<package>/migrations``."""
    # SQLAlchemy and alembic weigh more than a whole service: only the migration command loads them.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    try:
        asyncio.run(ensure_database(server, database))
    except UnreachableError as error:
        sys.stderr.write(f"{package} cannot migrate: {error}\n")
        raise SystemExit(1) from None
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    config.attributes["url"] = url_of(server, database)
    config.attributes["say"] = _say
    command.upgrade(config, "head")
    log.info("database.migrated", database=database)


def _say(text: str) -> None:
    log.info("migration", step=text)
