"""Clearing away what no longer means anything, a little at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

import structlog

from shared.errors import ServiceError

INTERVAL_SECONDS = 600.0
BATCH = 1_000
log = structlog.get_logger()


class RetentionRepository(Protocol):
    """What can be cleared away."""

    async def purge(self, most: int) -> int:
        """Delete at most ``most`` rows of each kind. Returns the largest number deleted of one kind."""


@contextlib.asynccontextmanager
async def purging(repository: RetentionRepository) -> AsyncIterator[None]:
    """Clear away every ten minutes for as long as the block lasts. Any number of processes may do it at once."""
    task = asyncio.create_task(_run(repository), name="purge")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _run(repository: RetentionRepository) -> None:
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        try:
            await clear(repository)
        except ServiceError:
            log.warning("purge.postponed")


async def clear(repository: RetentionRepository) -> None:
    """Clear away in batches until nothing is left to."""
    deleted = BATCH
    while deleted == BATCH:
        deleted = await repository.purge(BATCH)
