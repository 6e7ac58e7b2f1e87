"""Retention: an erased user leaves the directory for good when no older event about them can arrive any more."""

from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

from shared.background import repeating

PURGE_SECONDS = 3600.0
PURGE_BATCH = 1_000
ERASED_DAYS = 30
"""How long the row of an erased user stays, without number and name, so that an older event cannot restore them.

If such an event arrives later still, the comparison with the accounts corrects the directory.
"""


class RetentionRepository(Protocol):
    async def delete_erased(self, days: int, limit: int) -> int:
        """Delete at most ``limit`` rows of users who were erased more than ``days`` ago. Returns how many."""


def purging(repository: RetentionRepository) -> AbstractAsyncContextManager[None]:
    """Purge at once and then every hour, for as long as the block lasts."""
    return repeating("retention", PURGE_SECONDS, partial(purge, repository))


async def purge(repository: RetentionRepository) -> None:
    """Delete the rows of users who were erased long ago, in small batches. Any number of processes may do it."""
    while await repository.delete_erased(ERASED_DAYS, PURGE_BATCH) == PURGE_BATCH:
        pass
