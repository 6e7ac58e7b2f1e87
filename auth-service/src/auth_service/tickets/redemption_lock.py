"""Redemptions of one ticket take turns within a process, so that the losers of a race need not hash.

Between processes the database's unique keys decide; this only spares work.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from shared.errors import unavailable

WAIT_SECONDS = 3.5


@dataclass
class RedemptionLock:
    """``proof`` is the keyed digest of the secret that the ticket was redeemed with, once it was.

    It says so for the account's ``version`` of that moment: a later password makes it worthless.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sharers: int = 0
    proof: bytes | None = field(default=None, repr=False)
    version: int = 0


class RedemptionLocks:
    """One turn per ticket, for as long as anybody wants it."""

    def __init__(self) -> None:
        self._turns: dict[UUID, RedemptionLock] = {}

    @asynccontextmanager
    async def take(self, verification_id: UUID) -> AsyncIterator[RedemptionLock]:
        """Wait for the turn. Raises ``ServiceError(UNAVAILABLE)`` when those before took too long."""
        turn = self._turns.setdefault(verification_id, RedemptionLock())
        turn.sharers += 1
        try:
            await _acquire(turn.lock)
            try:
                yield turn
            finally:
                turn.lock.release()
        finally:
            turn.sharers -= 1
            if not turn.sharers:
                del self._turns[verification_id]


async def _acquire(lock: asyncio.Lock) -> None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await lock.acquire()
    except TimeoutError as error:
        raise unavailable() from error
