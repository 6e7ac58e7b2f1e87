"""What is purged, and when: the retention rules of this service."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog

from shared.background import repeating

PURGE_SECONDS = 3600.0
PURGE_BATCH = 1000
MESSAGE_DAYS = 30
"""How long messages are kept."""
VERIFICATION_DAYS = 1
"""How long a verification is kept after its code, and the ticket for its correct code, have expired."""

log = structlog.get_logger()


class RetentionRepository(Protocol):
    """Deletes old rows, at most ``limit`` in one call. ``before`` bounds the time-ordered ids that are examined."""

    async def purge_messages(self, before: UUID, days: int, limit: int) -> int: ...
    async def purge_verifications(self, before: UUID, days: int, limit: int) -> int: ...
    async def purge_number_activity(self, after: int, limit: int) -> int | None: ...
    async def purge_check_failures(self, limit: int) -> int: ...
    async def purge_test_messages(self, limit: int) -> int: ...


def purging(repository: RetentionRepository) -> AbstractAsyncContextManager[None]:
    """Purge at once and then every hour, for as long as the block lasts."""
    return repeating("purge", PURGE_SECONDS, partial(purge, repository))


async def purge(repository: RetentionRepository, *, now: float | None = None) -> dict[str, int]:
    """Delete messages and verifications past their retention, and rows without effect.

    Returns how many of the first two were deleted. ``now`` is in epoch seconds; the database's clock decides on each
    row. Verification events have a retention of their own (``shared.audit``).
    """
    now = time.time() if now is None else now
    old, older = first_id(now, VERIFICATION_DAYS), first_id(now, MESSAGE_DAYS)
    deleted = {
        "messages": await _repeat(partial(repository.purge_messages, older, MESSAGE_DAYS)),
        "verifications": await _repeat(partial(repository.purge_verifications, old, VERIFICATION_DAYS)),
    }
    await _repeat(repository.purge_check_failures)
    await _repeat(repository.purge_test_messages)
    last_ref: int | None = -(2**63)
    while last_ref is not None:
        last_ref = await repository.purge_number_activity(last_ref, PURGE_BATCH)
    log.info("rows.purged", **deleted)
    return deleted


async def _repeat(purge_batch: Callable[[int], Awaitable[int]]) -> int:
    """Purge in batches until nothing is left. Returns how many rows were deleted."""
    deleted = 0
    while count := await purge_batch(PURGE_BATCH):
        deleted += count
    return deleted


def first_id(now: float, days: float) -> UUID:
    """The smallest UUIDv7 of the moment ``days`` ago. The ids are in time order, so an index on them finds old rows."""
    return UUID(int=int((now - days * 86_400) * 1000) << 80)
