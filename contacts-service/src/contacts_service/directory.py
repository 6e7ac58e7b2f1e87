"""The in-memory filter of registered numbers: it drops almost every miss, and PostgreSQL confirms the hits."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from prometheus_client import Gauge

from shared.background import repeating

MIN_SLOTS_LOG2 = 22
SLOTS_PER_ENTRY = 32
"""At most one miss in 32 passes the filter. PostgreSQL then drops it."""

PAGE_ROWS = 5_000
"""Rows in one page: 1 ms of the event loop, and a buffer small enough to be returned to the system."""

CATCH_UP_SECONDS = 0.5
OVERLAP = timedelta(seconds=10)
"""How far a poll looks back before the last one. A statement commits within 2 s of its ``now()``, so none is missed."""

REBUILD_SECONDS = 600.0
REBUILD_CHECK_SECONDS = 5.0

ENTRIES = Gauge("haoma_directory_entries", "References in the filter")
SLOTS = Gauge("haoma_directory_slots", "Slots of the filter, one bit each")
CAUGHT_UP = Gauge("haoma_directory_caught_up_timestamp_seconds", "When the filter last read the changed rows")

log = structlog.get_logger()


class RefFilter:
    """A set of references with false positives and no false negatives: a Bloom filter with one hash function.

    There is one bit for each slot, and a reference's slot is its top bits: references are uniformly distributed, so
    they need no hash. Negative references have negative slots, which Python indexes from the end.
    """

    def __init__(self, entries: int = 0) -> None:
        """Make room for ``entries`` references."""
        log2 = max(MIN_SLOTS_LOG2, (entries * SLOTS_PER_ENTRY - 1).bit_length())
        self._shift = 64 - log2
        self._bits = bytearray(1 << (log2 - 3))
        self.slots = 1 << log2
        self.entries = 0

    @property
    def outgrown(self) -> bool:
        """Whether it contains more references than it was made for, and so has too many false positives."""
        return self.entries * SLOTS_PER_ENTRY > self.slots

    def add(self, refs: Iterable[int]) -> None:
        """Add references."""
        bits, shift = self._bits, self._shift
        for ref in refs:
            slot = ref >> shift
            byte, bit = slot >> 3, 1 << (slot & 7)
            if not bits[byte] & bit:
                bits[byte] |= bit
                self.entries += 1

    def candidates(self, refs: Iterable[int]) -> list[int]:
        """The references that may have been added, in their order."""
        bits, shift = self._bits, self._shift
        return [ref for ref in refs if bits[(slot := ref >> shift) >> 3] >> (slot & 7) & 1]


class DirectoryReader(Protocol):
    """The directory in PostgreSQL, as far as the filter reads it."""

    async def now(self) -> datetime:
        """The database's clock."""

    async def page(self, after: int, size: int) -> tuple[int, Sequence[int]]:
        """The last id and the references of the next ``size`` visible users; ``(0, ())`` at the end."""

    async def changed(self, since: datetime) -> tuple[datetime, Sequence[int]]:
        """The database's clock, and the references of visible users whose rows changed after ``since``."""


class Directory:
    """Keeps the filter of one process up to date with the table.

    All replicas share one durable queue. The replica that consumes an event applies it to PostgreSQL and adds it to its
    own filter at once. The others poll PostgreSQL twice a second for changed rows. That is simpler than a queue for
    each replica, limits the delay to about a second, and works without the broker. The polls compare times of the
    database only, so the clocks of hosts do not matter. A deleted or hidden user stays in the filter until the next
    rebuild. That costs a lookup but shows nothing: PostgreSQL confirms every match.
    """

    def __init__(self, reader: DirectoryReader) -> None:
        self._reader = reader
        self._filter = RefFilter()
        self._next_filter: RefFilter | None = None
        self._read_until: datetime | None = None
        self._built = 0.0

    def candidates(self, refs: Iterable[int]) -> list[int]:
        """The references that may belong to a visible user, in their order. Users of the last second may be missing."""
        return self._filter.candidates(refs)

    def add(self, refs: Sequence[int]) -> None:
        """Add references to the filter, and to the next one if it is being built."""
        self._filter.add(refs)
        if self._next_filter is not None:
            self._next_filter.add(refs)
        ENTRIES.set(self._filter.entries)

    async def build(self) -> None:
        """Build a new filter from the whole table, page by page, and replace the old one."""
        expected = self._filter.entries
        if self._read_until is None:
            self._read_until = await self._reader.now()
        try:
            while True:
                self._next_filter = built = RefFilter(expected)
                await self._read_all_into(built)
                if not built.outgrown:
                    break
                expected = built.entries
        finally:
            self._next_filter = None
        self._filter = built
        self._built = time.monotonic()
        ENTRIES.set(built.entries)
        SLOTS.set(built.slots)
        log.info("directory.built", entries=built.entries, slots=built.slots)

    async def _read_all_into(self, built: RefFilter) -> None:
        last, refs = await self._reader.page(-1, PAGE_ROWS)
        while refs:
            built.add(refs)
            last, refs = await self._reader.page(last, PAGE_ROWS)

    async def catch_up(self) -> None:
        """Add the rows that changed since the last call."""
        since = self._read_until or await self._reader.now()
        self._read_until, refs = await self._reader.changed(since - OVERLAP)
        self.add(refs)
        CAUGHT_UP.set_to_current_time()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Build the filter, then keep it up to date until the block ends."""
        await self.build()
        catching_up = repeating("directory.catch_up", CATCH_UP_SECONDS, self.catch_up, first_after=CATCH_UP_SECONDS)
        rebuilding = repeating("directory.rebuild", REBUILD_CHECK_SECONDS, self._rebuild_if_due)
        async with catching_up, rebuilding:
            yield

    async def _rebuild_if_due(self) -> None:
        if self._filter.outgrown or time.monotonic() - self._built >= REBUILD_SECONDS:
            await self.build()
