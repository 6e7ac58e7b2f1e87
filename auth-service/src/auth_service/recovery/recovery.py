"""Makes a restored database safe: sessions and tickets that may have ended since the backup end, and versions jump.

A backup does not know which sessions were ended, which tickets were spent and which versions were published after it.
"""

from dataclasses import dataclass
from typing import Protocol

BATCH = 500
VERSION_JUMP = 1_000_000
"""More changes than an account has between two backups: a consumer ignores a version that is not newer than its own."""


class RecoveryRepository(Protocol):
    async def refuse_tickets(self) -> None:
        """Let no ticket that was made before now open an account."""

    async def end_sessions(self, limit: int) -> int:
        """End so many sessions, each with its refresh tokens, audit row and event. Returns how many there were."""

    async def renew_accounts(self, after: int, limit: int, jump: int) -> list[int]:
        """End the tickets of the next accounts above ``after``, and raise their versions. Returns their ids, sorted."""

    async def record(self, sessions: int, accounts: int) -> None:
        """Write into the audit log that the database was restored."""


@dataclass(frozen=True)
class Recovered:
    """How many sessions ended, and of how many accounts the tickets."""

    sessions: int
    accounts: int


class Recovery:
    """Goes through all sessions and accounts in batches. It can be interrupted, and run again."""

    def __init__(self, repository: RecoveryRepository) -> None:
        self._repository = repository

    async def run(self) -> Recovered:
        """Recover. Raises ``ServiceError(UNAVAILABLE)``."""
        await self._repository.refuse_tickets()
        done = Recovered(await self._end_sessions(), await self._renew_accounts())
        await self._repository.record(done.sessions, done.accounts)
        return done

    async def _end_sessions(self) -> int:
        total = 0
        while ended := await self._repository.end_sessions(BATCH):
            total += ended
        return total

    async def _renew_accounts(self) -> int:
        total = after = 0
        while renewed := await self._repository.renew_accounts(after, BATCH, VERSION_JUMP):
            total += len(renewed)
            after = renewed[-1]
        return total
