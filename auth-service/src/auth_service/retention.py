"""Retention: deletes rows that have expired, in small batches."""

from typing import Protocol

INTERVAL_SECONDS = 600.0
BATCH = 1_000


class RetentionRepository(Protocol):
    """The tables whose rows expire."""

    async def delete_expired(self, limit: int) -> int:
        """Delete at most ``limit`` rows of each table. Returns the largest number deleted from one table."""


async def delete_all_expired(repository: RetentionRepository) -> None:
    """Delete batches until none is full. Any number of processes may do it at the same time."""
    deleted = BATCH
    while deleted == BATCH:
        deleted = await repository.delete_expired(BATCH)
