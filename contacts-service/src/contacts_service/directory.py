"""The in-memory filter of registered references: it drops the misses, PostgreSQL confirms the hits."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from prometheus_client import Gauge

FEWEST_SLOTS_LOG2 = 22
SLOTS_PER_ENTRY = 32
"""One miss in 32 at most passes the filter and is then dropped by PostgreSQL."""

PAGE = 5_000
"""Rows loaded at once: 1 ms of the event loop, and no buffer so large that its memory is not given back."""

CATCH_UP_SECONDS = 0.5
OVERLAP = timedelta(seconds=10)
"""How far each catch-up looks back behind the last: longer than a statement may run between its ``now()`` and
its commit (2 s), so that no row slips in behind."""

REBUILD_SECONDS = 600.0
REBUILD_CHECK_SECONDS = 5.0

ENTRIES = Gauge("haoma_directory_entries", "References in the filter")
SLOTS = Gauge("haoma_directory_slots", "Slots of the filter, one bit each")
CAUGHT_UP = Gauge("haoma_directory_caught_up_timestamp_seconds", "When the filter last caught up with PostgreSQL")

log = structlog.get_logger()


class RefFilter:
    """A set of references that may err on one side: a stranger may seem to be in it, a member never seems absent.

    One bit per slot, and the slot is the reference's top bits: a reference is uniform, so it is its own hash.
    Half of the slots are negative like their references, and lie where Python has negative indices: at the end.
    """

    def __init__(self, entries: int = 0) -> None:
        """Make room for so many ``entries``."""
        log2 = max(FEWEST_SLOTS_LOG2, (entries * SLOTS_PER_ENTRY - 1).bit_length())
        self._shift = 64 - log2
        self._bits = bytearray(1 << (log2 - 3))
        self.slots = 1 << log2
        self.entries = 0

    @property
    def outgrown(self) -> bool:
        """Whether it holds more than it was made for, and lets too many strangers pass."""
        return self.entries * SLOTS_PER_ENTRY > self.slots

    def add(self, refs: Iterable[int]) -> None:
        """Let these pass from now on."""
        bits, shift = self._bits, self._shift
        for ref in refs:
            slot = ref >> shift
            byte, bit = slot >> 3, 1 << (slot & 7)
            if not bits[byte] & bit:
                bits[byte] |= bit
                self.entries += 1

    def likely(self, refs: Iterable[int]) -> list[int]:
        """Those that may have been added, in order."""
        bits, shift = self._bits, self._shift
        return [ref for ref in refs if bits[(slot := ref >> shift) >> 3] >> (slot & 7) & 1]


class Rows(Protocol):
    """The directory in PostgreSQL, as far as the filter reads it."""

    async def now(self) -> datetime:
        """The database's clock."""

    async def page(self, after: int, size: int) -> tuple[int, Sequence[int]]:
        """References of the next ``size`` visible users, and the last of these users' id; (0, ()) at the end."""

    async def changed(self, since: datetime) -> tuple[datetime, Sequence[int]]:
        """The database's clock, and references of visible users whose rows changed after ``since``."""


class Directory:
    """Keeps one process's filter in step with the table.

    The durable queue is shared by all replicas: one of them applies an event to PostgreSQL and knows at once.
    The others learn it from PostgreSQL, asking twice a second which rows have changed. That is simpler than a
    queue of their own, bounds the delay to about a second for all of them, and holds with the broker away too,
    since the table they follow is the truth that matches are confirmed against. The time between polls is the
    database's own, so clocks of hosts do not matter. References of users who left or hid only cost a look at
    PostgreSQL, until the next rebuild drops them.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._filter = RefFilter()
        self._growing: RefFilter | None = None
        self._asked: datetime | None = None
        self._built = 0.0

    def likely(self, refs: Iterable[int]) -> list[int]:
        """Those that a visible user may have, in order. One of the last second may be missing."""
        return self._filter.likely(refs)

    def learn(self, refs: Sequence[int]) -> None:
        """Let these pass from now on, in the filter being built as well."""
        self._filter.add(refs)
        if self._growing is not None:
            self._growing.add(refs)
        ENTRIES.set(self._filter.entries)

    async def build(self) -> None:
        """Make a fresh filter from the whole table, page by page, and put it in the old one's place."""
        expected = self._filter.entries
        if self._asked is None:
            self._asked = await self._rows.now()
        try:
            while True:
                self._growing = grown = RefFilter(expected)
                await self._read_into(grown)
                if not grown.outgrown:
                    break
                expected = grown.entries
        finally:
            self._growing = None
        self._filter = grown
        self._built = time.monotonic()
        ENTRIES.set(grown.entries)
        SLOTS.set(grown.slots)
        log.info("directory.built", entries=grown.entries, slots=grown.slots)

    async def _read_into(self, grown: RefFilter) -> None:
        last, refs = await self._rows.page(-1, PAGE)
        while refs:
            grown.add(refs)
            last, refs = await self._rows.page(last, PAGE)

    async def catch_up(self) -> None:
        """Learn what has changed in the table since the last time."""
        since = self._asked or await self._rows.now()
        self._asked, refs = await self._rows.changed(since - OVERLAP)
        self.learn(refs)
        CAUGHT_UP.set_to_current_time()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Build the filter, then follow the table for as long as the block lasts."""
        await self.build()
        tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._rebuild())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(CATCH_UP_SECONDS)
            try:
                await self.catch_up()
            except Exception as error:  # noqa: BLE001  the filter goes on as it is, and the next turn asks again
                log.warning("directory.behind", error=type(error).__name__)

    async def _rebuild(self) -> None:
        while True:
            await asyncio.sleep(REBUILD_CHECK_SECONDS)
            if not self._filter.outgrown and time.monotonic() - self._built < REBUILD_SECONDS:
                continue
            try:
                await self.build()
            except Exception as error:  # noqa: BLE001  as above
                log.warning("directory.not_rebuilt", error=type(error).__name__)
