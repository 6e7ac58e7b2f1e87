"""One lock per ticket within this process, so that repeated redemptions of a ticket need no hash of their own.

Between processes the unique keys of the database decide. The locks only save work.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from shared.errors import unavailable

MAX_WAIT_SECONDS = 3.5


@dataclass
class RedemptionLock:
    """The lock of one ticket, with the outcome of its redemption in this process.

    ``secret_digest`` is the keyed digest of the secret that redeemed the ticket, and None before that. It is valid
    for the account's ``version`` after the redemption only: a later version may have another password.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    secret_digest: bytes | None = field(default=None, repr=False)
    version: int = 0


class RedemptionLocks:
    """The locks of the tickets that are being redeemed. A lock is dropped when its last user leaves."""

    def __init__(self) -> None:
        self._locks: dict[UUID, RedemptionLock] = {}

    @asynccontextmanager
    async def locked(self, verification_id: UUID) -> AsyncIterator[RedemptionLock]:
        """Hold the lock of a ticket. Raises ``ServiceError(UNAVAILABLE)`` after ``MAX_WAIT_SECONDS``."""
        lock = self._locks.setdefault(verification_id, RedemptionLock())
        lock.users += 1
        try:
            await _acquire(lock)
            try:
                yield lock
            finally:
                lock.lock.release()
        finally:
            lock.users -= 1
            if not lock.users:
                del self._locks[verification_id]


async def _acquire(lock: RedemptionLock) -> None:
    if lock.users == 1:  # as for most tickets: it is free, so this does not wait
        await lock.lock.acquire()
        return
    try:
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            await lock.lock.acquire()
    except TimeoutError as error:
        raise unavailable() from error
