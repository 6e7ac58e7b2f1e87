"""The background jobs of an audit chain: sealing new rows, and deleting the oldest ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge

from shared.audit.chain import BEGINNING, Anchor, Seal
from shared.background import repeating

INTERVAL_SECONDS = 10.0
RETENTION_SECONDS = 600.0
SETTLE = timedelta(seconds=2)
"""Rows that are younger wait for the next turn: nearly all of their transactions have ended by then."""
MAX_ROWS = 500
"""The rows of one seal: sealing them takes some milliseconds of the event loop."""

SEALED = Counter("haoma_audit_sealed_rows_total", "Rows of the audit trail that this process sealed")
END = Gauge("haoma_audit_end", "The number of the last seal that this process saw")

log = structlog.get_logger()


class ChainRepository(Protocol):
    """The chain of one table."""

    async def take_turn(self, period: timedelta) -> bool:
        """Whether this process seals now: no other one did within ``period``."""

    async def seal(self, limit: int, settle: timedelta, since: datetime | None = None) -> tuple[Anchor, Seal | None]:
        """Seal the oldest rows, but none from before ``since``. Without it, also those that committed late.

        Returns the end of the chain before, and the new seal, if there is one.
        """

    async def delete_old(self, days: int) -> int:
        """Delete the oldest seals with their rows. Returns how many seals; 0 when none is old enough."""


class Sealer:
    """Seals what was written, and remembers the end of the chain: it never moves back."""

    def __init__(self, repository: ChainRepository) -> None:
        self._repository = repository
        self._seen = BEGINNING

    async def take_turn(self) -> None:
        """Seal all rows that have settled, if no other process did so in this interval."""
        if await self._repository.take_turn(timedelta(seconds=0.9 * INTERVAL_SECONDS)):
            await self.seal_all(SETTLE)

    async def seal_all(self, settle: timedelta) -> None:
        """Seal all rows that are older than ``settle``.

        The first seal takes those that committed late too. Each of the others begins where the one before ended:
        reading the last minutes again for each would cost the more, the more is written.
        """
        end, seal = await self._repository.seal(MAX_ROWS, settle)
        self._compare(end)
        while seal is not None:
            SEALED.inc(len(seal.ids))
            END.set(seal.number)
            self._seen = seal.anchor
            log.info("audit.sealed", anchor=str(seal.anchor), rows=len(seal.ids))
            is_full = len(seal.ids) == MAX_ROWS
            seal = (await self._repository.seal(MAX_ROWS, settle, seal.last_at))[1] if is_full else None

    def _compare(self, end: Anchor) -> None:
        seen, self._seen = self._seen, end
        if end.number < seen.number or (end.number == seen.number and end.hash != seen.hash):
            log.error("audit.cut_off", seen=str(seen), end=str(end))


@asynccontextmanager
async def keeping_chain(repository: ChainRepository, days: int) -> AsyncIterator[None]:
    """Seal every ten seconds, and delete every ten minutes what is older than ``days``, until the block ends."""
    sealing = repeating("audit_seal", INTERVAL_SECONDS, Sealer(repository).take_turn, first_after=INTERVAL_SECONDS)
    delete = partial(delete_all_old, repository, days)
    deleting = repeating("audit_retention", RETENTION_SECONDS, delete, first_after=RETENTION_SECONDS)
    async with sealing, deleting:
        yield


async def delete_all_old(repository: ChainRepository, days: int) -> None:
    """Delete all that is older than ``days``. Any number of processes may do it at the same time."""
    while await repository.delete_old(days):
        pass
