"""Keeps the filter of registered numbers: it drops almost every miss, and PostgreSQL confirms the hits."""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from prometheus_client import Gauge

from contacts_service.directory.filling import fill
from shared.background import repeating
from shared.numbers.ref_filter import RefFilter

PAGE_ROWS = 10_000
"""Rows in one page: a few milliseconds of PostgreSQL, and 80 KB."""

CATCH_UP_SECONDS = 0.5
OVERLAP = timedelta(seconds=10)
"""How far a poll looks back before the last one. A statement commits within 2 s of its ``now()``, so none is missed."""

REBUILD_SECONDS = 600.0
REBUILD_CHECK_SECONDS = 5.0

ENTRIES = Gauge("haoma_directory_entries", "References in the filter")
SLOTS = Gauge("haoma_directory_slots", "Slots of the filter, one bit each; 0 until it is built")
CAUGHT_UP = Gauge("haoma_directory_caught_up_timestamp_seconds", "When the filter last read the changed rows")

log = structlog.get_logger()


class DirectoryReader(Protocol):
    """The directory in PostgreSQL, as far as the filter reads it."""

    async def now(self) -> datetime:
        """The database's clock."""

    async def estimated_rows(self) -> int:
        """About how many rows the directory has, as far as PostgreSQL knows without counting them."""

    async def page(self, after: int, size: int) -> tuple[int, bytes]:
        """The last id and the references, 8 bytes each, of the next ``size`` visible users; ``(0, b"")`` at the end."""

    async def changed(self, since: datetime) -> tuple[datetime, Sequence[int]]:
        """The database's clock, and the references of visible users whose rows changed after ``since``."""


class Directory:
    """Keeps the filter of one process up to date with the table. Until the first is built, every number is a candidate.

    All replicas share one durable queue. The replica that consumes an event applies it to PostgreSQL and adds it to its
    own filter at once. The others poll PostgreSQL twice a second for changed rows. That is simpler than a queue for
    each replica, limits the delay to about a second, and works without the broker. The polls compare times of the
    database only, so the clocks of hosts do not matter. A deleted or hidden user stays in the filter until the next
    rebuild. That costs a lookup but shows nothing: PostgreSQL confirms every match.
    """

    def __init__(self, reader: DirectoryReader) -> None:
        self._reader = reader
        self._filter: RefFilter | None = None
        self._added_meanwhile: set[int] | None = None
        self._read_until: datetime | None = None
        self._built = 0.0

    def positions(self, refs: Sequence[int]) -> Sequence[int]:
        """Where in the list the references are that may belong to a visible user, but for users of the last second."""
        return range(len(refs)) if self._filter is None else self._filter.positions(refs)

    def add(self, refs: Sequence[int]) -> None:
        """Add references to the filter, and to the next one if it is being built."""
        if self._added_meanwhile is not None:
            self._added_meanwhile.update(refs)
        if self._filter is not None:
            self._filter.add(refs)
            ENTRIES.set(self._filter.entries)

    async def build(self) -> None:
        """Build a new filter from the whole table, page by page, and replace the old one."""
        started = time.monotonic()
        expected = max(await self._reader.estimated_rows(), self._filter.entries if self._filter else 0)
        if self._read_until is None:
            self._read_until = await self._reader.now()
        self._added_meanwhile = set()
        try:
            built = await fill(self._pages(), expected)
            while built.outgrown:
                built = await fill(self._pages(), built.entries)
            await self.catch_up()  # so that users who were found a moment ago, without a filter, stay found
            built.add(self._added_meanwhile)
        finally:
            self._added_meanwhile = None
        self._filter, self._built = built, time.monotonic()
        ENTRIES.set(built.entries)
        SLOTS.set(built.slots)
        log.info("directory.built", entries=built.entries, slots=built.slots, seconds=round(self._built - started, 1))

    async def _pages(self) -> AsyncIterator[bytes]:
        last, refs = await self._reader.page(-1, PAGE_ROWS)
        while refs:
            yield refs
            last, refs = await self._reader.page(last, PAGE_ROWS)

    async def catch_up(self) -> None:
        """Add the rows that changed since the last call."""
        since = self._read_until or await self._reader.now()
        self._read_until, refs = await self._reader.changed(since - OVERLAP)
        self.add(refs)
        CAUGHT_UP.set_to_current_time()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Build the filter and keep it up to date, in the background, until the block ends."""
        building = repeating("directory.build", REBUILD_CHECK_SECONDS, self._build_if_due)
        catching_up = repeating("directory.catch_up", CATCH_UP_SECONDS, self.catch_up, first_after=CATCH_UP_SECONDS)
        async with building, catching_up:
            yield

    async def _build_if_due(self) -> None:
        if self._filter is None or self._filter.outgrown or time.monotonic() - self._built >= REBUILD_SECONDS:
            await self.build()
