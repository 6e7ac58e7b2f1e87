"""What a worker does from time to time: sweep the ledger, and purge what nobody will ask for again."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

import structlog

SWEEP_SECONDS = 10.0
PURGE_SECONDS = 3600.0
PURGE_BATCH = 1000
MESSAGE_DAYS = 30
"""For as long as a message is kept, so is what explains it."""
VERIFICATION_DAYS = 1

log = structlog.get_logger()


class RetentionRepository(Protocol):
    """Where old rows are let go, ``limit`` at a time. ``before`` bounds the time-ordered ids looked at."""

    async def purge_messages(self, before: UUID, days: int, limit: int) -> int: ...
    async def purge_verifications(self, before: UUID, days: int, limit: int) -> int: ...
    async def purge_verification_events(self, before: UUID, days: int, limit: int) -> int: ...
    async def purge_numbers(self, after: int, limit: int) -> int | None: ...
    async def purge_check_failures(self, limit: int) -> int: ...


@asynccontextmanager
async def regularly(name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Do ``work`` at once and then every so often, for as long as the block lasts; a failure waits its turn."""

    async def run() -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001  a server is away: the next round does what this one could not
                log.warning("housekeeping.failed", task=name, error=type(error).__name__)
            await asyncio.sleep(seconds)

    task = asyncio.create_task(run(), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def purge(archive: RetentionRepository, *, now: float | None = None) -> dict[str, int]:
    """Delete messages and happenings after 30 days, verifications a day past their use, numbers without a past.

    Returns how many of the first three went. ``now`` is epoch seconds; the database's clock has the
    last word on each row.
    """
    now = time.time() if now is None else now
    gone = {"messages": 0, "happenings": 0, "verifications": 0}
    while taken := await archive.purge_messages(_id_of(now, MESSAGE_DAYS), MESSAGE_DAYS, PURGE_BATCH):
        gone["messages"] += taken
    while taken := await archive.purge_verification_events(_id_of(now, MESSAGE_DAYS), MESSAGE_DAYS, PURGE_BATCH):
        gone["happenings"] += taken
    while taken := await archive.purge_verifications(_id_of(now, VERIFICATION_DAYS), VERIFICATION_DAYS, PURGE_BATCH):
        gone["verifications"] += taken
    last: int | None = -(2**63)
    while last is not None:
        last = await archive.purge_numbers(last, PURGE_BATCH)
    while await archive.purge_check_failures(PURGE_BATCH):
        pass
    log.info("housekeeping.purged", **gone)
    return gone


def _id_of(now: float, days: int) -> UUID:
    """The least UUIDv7 of a moment ``days`` ago: ids are in order of time, so the key finds what is old."""
    return UUID(int=int((now - days * 86_400) * 1000) << 80)
