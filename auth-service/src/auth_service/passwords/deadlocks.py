"""A second try for statements that count log-ins: two of them may wait for each other in a circle.

Rows that exist are locked in the order of their names. A row that another session is inserting is not seen by then. A
statement waits for it when it inserts that row itself, after it has locked rows with later names. PostgreSQL ends one
of the two.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from shared.errors import ServiceError

T = TypeVar("T")


async def retried_after_deadlock(run: Callable[[], Awaitable[T]]) -> T:
    """Run the statement or the transaction, and once more if PostgreSQL ended it: nothing was written then."""
    try:
        return await run()
    except ServiceError as error:
        if not isinstance(error.__cause__, asyncpg.DeadlockDetectedError):
            raise
    return await run()
