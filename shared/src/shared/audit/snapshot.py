"""One state of the database for the commands that read an audit trail, with hours of time for its statements."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.postgres import Connection, Pool, connection

MAX_SECONDS = 6 * 3600.0


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A connection whose statements all see the database as it was at the first one."""
    async with connection(pool, MAX_SECONDS) as conn:
        await conn.execute("begin isolation level repeatable read, read only")
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            await conn.execute(f"set local {name} = '{MAX_SECONDS:.0f}s'")
        yield conn
        await conn.execute("commit")
