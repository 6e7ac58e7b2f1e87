"""One pool of sessions for each process, and a deadline on every use of a session."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import structlog

from shared.deadline import TimeLimit
from shared.errors import ServiceError, unavailable
from shared.postgres.sessions import STARTING, UNAVAILABLE, Connection, Primary, url_of
from shared.process.pools import Slots, showing_slots
from shared.process.schema import NotMigratedError, application_name, newest_revision, refuse_schema
from shared.process.startup import PoolerError, refuse_pooler, refuse_privileges, wait_for_server

DEADLINE_SECONDS = 2.0
"""The limit of one use of a connection: waiting for it, and every statement on it."""

CLOSE_SECONDS = 2.0
"""The limit of saying goodbye to a server, which may be silent."""

SERVER_SETTINGS = {
    "statement_timeout": "1900",
    "lock_timeout": "1500",
    "idle_in_transaction_session_timeout": "15000",
    "jit": "off",
    "enable_seqscan": "off",
}
"""Our sessions' own settings. A plan that was made while a table was empty must not read all of it later, when it is
large: PostgreSQL keeps it until it analyses the table (docs/decisions/0093)."""
_SESSION_ENDS = frozenset({"FATAL", "PANIC"})

log = structlog.get_logger()


class Pool:
    """Up to ``size`` connections, the most recently used first.

    asyncpg's own pool starts a task for every release and resets the session, which doubles the cost of a statement
    (docs/decisions/0041). Our code never changes a session's state, and a connection that was interrupted is discarded.

    A connection opens outside of the call that needs it (docs/decisions/0071). The call gets whichever comes first:
    that one, or one that another call returns. So a look-up that stalls delays no one while other connections work.
    """

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, Connection]], size: int) -> None:
        self._connect = connect
        self.slots = Slots(size)
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection]] = deque()
        self._openings: set[asyncio.Task[Connection]] = set()
        self._limits: dict[float, TimeLimit] = {}

    def limit(self, seconds: float) -> TimeLimit:
        """The limit of all uses that may take so long."""
        limit = self._limits.get(seconds)
        if limit is None:
            limit = self._limits[seconds] = TimeLimit(seconds)
        return limit

    async def acquire(self) -> Connection:
        """A connection for exclusive use until it is released. Waits while all are in use."""
        await self.slots.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
            return await self._first_to_come()
        except BaseException:
            self.slots.release()
            raise

    async def _first_to_come(self) -> Connection:
        """The next connection that opens or is returned. Raises what opening one raises."""
        waiter: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if len(self._openings) < len(self._waiting):
            opening = asyncio.create_task(self._connect(), name="opening of a PostgreSQL session")
            self._openings.add(opening)
            opening.add_done_callback(self._hand_over)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.exception() is None:
                self._offer(waiter.result())  # it came at the moment at which the call gave up
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _hand_over(self, opening: "asyncio.Task[Connection]") -> None:
        """Give what an opening came to, a connection or an error, to the call that has waited longest."""
        self._openings.discard(opening)
        if opening.cancelled():
            return
        error = opening.exception()
        if error is None:
            self._offer(opening.result())
        elif waiter := self._longest_waiting():
            waiter.set_exception(error)
        else:
            log.warning("postgres.opening_failed", error=type(error).__name__)

    def _offer(self, connection: Connection) -> None:
        """Give a connection that no call uses to the call that has waited longest, if there is one."""
        waiter = self._longest_waiting()
        if waiter is None:
            self._idle.append(connection)
        else:
            waiter.set_result(connection)

    def _longest_waiting(self) -> "asyncio.Future[Connection] | None":
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def release(self, connection: Connection, *, intact: bool) -> None:
        """Return a connection. It is closed unless it is ``intact``: no statement running, no transaction open."""
        if not intact or connection.is_in_transaction():
            connection.terminate()
        elif not connection.is_closed():
            self._offer(connection)
        self.slots.release()

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement, within the deadline and with the errors of ``connection``."""
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
        """Close the idle connections, all at once because a server may be silent, and end the openings."""
        for opening in self._openings:
            opening.cancel()
        await asyncio.gather(*self._openings, return_exceptions=True)
        while self._idle:  # more than once, because a call may return its connection meanwhile
            idle, self._idle = self._idle, []
            await asyncio.gather(*map(_close, idle))


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=CLOSE_SECONDS)
    except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()


@asynccontextmanager
async def pool(
    server: str, database: str, *, size: int = 10, restricted: bool = False, package: str = ""
) -> AsyncIterator[Pool]:
    """Open a pool on a service's database as soon as it can be reached.

    ``restricted``: raise ``PrivilegedRoleError`` if the role may do more than read and change rows. ``package``: wait
    for a schema with which the code of this service works, and raise ``NewerSchemaError`` if it is too new.
    """
    revision = newest_revision(package) if package else ""
    settings = SERVER_SETTINGS | {"application_name": application_name(database, revision)}
    primary = Primary(url_of(server, database))

    async def connect() -> Connection:
        try:
            return await primary.open_session(settings)
        except asyncpg.InvalidCatalogNameError as error:
            raise NotMigratedError(f'there is no database "{database}" yet: run the migrations') from error
        except asyncpg.ProtocolViolationError as error:
            if "startup parameter" in str(error):
                raise PoolerError from error
            raise

    opened = Pool(connect, size)
    check = partial(_check_session, opened, restricted=restricted, revision=revision)
    await wait_for_server("PostgreSQL", "POSTGRES_URL", server, check, on=STARTING)
    try:
        with showing_slots("postgresql", opened.slots):
            yield opened
    finally:
        await opened.close()


async def _check_session(pool: Pool, *, restricted: bool, revision: str) -> None:
    """Raises ``PoolerError``, ``PrivilegedRoleError``, or what ``refuse_schema`` raises."""
    conn = await pool.acquire()
    intact = False
    try:
        await refuse_pooler(conn, SERVER_SETTINGS["statement_timeout"])
        if restricted:
            await refuse_privileges(conn)
        if revision:
            await refuse_schema(conn, revision)
        intact = True
    finally:
        pool.release(conn, intact=intact)


@asynccontextmanager
async def connection(pool: Pool, seconds: float = DEADLINE_SECONDS) -> AsyncIterator[Connection]:
    """A connection for a few statements, within a deadline in seconds.

    Raises ``ServiceError(UNAVAILABLE)`` when PostgreSQL is down, hangs or has no connection left. A connection whose
    statement was interrupted is discarded: waiting for the cancellation could take longer than the deadline.
    """
    conn: Connection | None = None
    intact = False
    try:
        with pool.limit(seconds)():
            conn = await pool.acquire()
            yield conn
        intact = True
    except TimeoutError as error:
        log.warning("postgres.timed_out")
        raise unavailable() from error
    except Exception as error:
        if _is_outage(error, conn):
            log.warning("postgres.unavailable", error=type(error).__name__)
            raise unavailable() from error
        intact = True  # our own refusal, or a statement that PostgreSQL rejected: the session is usable
        raise
    finally:
        if conn is not None:
            pool.release(conn, intact=intact)


def _is_outage(error: Exception, conn: "Connection | None") -> bool:
    """Whether PostgreSQL failed: there is no session, the error has ended it, or the error is a known one."""
    if isinstance(error, ServiceError | asyncpg.DataError):
        return False
    if conn is None or conn.is_closed() or getattr(error, "severity_en", None) in _SESSION_ENDS:
        return True
    return isinstance(error, UNAVAILABLE)


@asynccontextmanager
async def transaction(pool: Pool, seconds: float = DEADLINE_SECONDS) -> AsyncIterator[Connection]:
    """A ``connection`` inside one transaction.

    asyncpg's own transaction ends with a ROLLBACK that waits for a silent server beyond every deadline. Here an
    interrupted connection is discarded, which also rolls back.
    """
    async with connection(pool, seconds) as conn:
        await conn.execute("begin")
        try:
            yield conn
        except Exception:
            await conn.execute("rollback")
            raise
        await conn.execute("commit")


def is_rolled_back(error: BaseException) -> bool:
    """Whether ``connection`` raised ``error`` for a row locked by another session: the statement changed nothing."""
    return isinstance(error.__cause__, asyncpg.LockNotAvailableError | asyncpg.TransactionRollbackError)


async def ping(pool: Pool) -> None:
    """For readiness."""
    await pool.fetchval("select 1")
