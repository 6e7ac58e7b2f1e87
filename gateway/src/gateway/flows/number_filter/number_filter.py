"""Keeps a filter of the numbers that have an account, so that auth-service need not be asked for most of the others."""

import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog
from prometheus_client import Gauge

from shared.background import repeating
from shared.internal_api.directory import (
    LIST_GAINED_NUMBERS,
    LIST_NUMBERS,
    GainedNumbers,
    ListGainedNumbers,
    ListNumbers,
    refs_of,
)
from shared.internal_api.endpoint import Endpoint, WireModel
from shared.numbers.ref_filter import RefFilter, bytes_for
from shared.phone import E164, PhoneKeys

POLL_SECONDS = 2.0
MAX_AGE_SECONDS = 6.0
"""How long the filter is good for after a poll. Older, it knows nothing until the next one."""
OVERLAP = timedelta(seconds=15)
"""How far a poll looks back before the last one. Each transaction that gives a number ends within 10 s of its start."""

REFILL_SECONDS = 3600.0
"""Between two fills from the beginning, which leave out the numbers whose accounts are gone."""
RETRY_SECONDS = 30.0
"""Between two fills of which the first was in vain: there is a user source, or many users are being imported."""

SLOTS_PER_NUMBER = 16
"""One number in 16 without an account passes a full filter, and is asked for."""
MAX_NUMBERS = 2**24
"""For how many numbers there is memory, 32 MiB. If there are more, more of the others are asked for."""

ENTRIES = Gauge("haoma_number_filter_entries", "Numbers in the filter; 0 while it cannot be used")

RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)

log = structlog.get_logger()


class AuthService(Protocol):
    """The calls of auth-service that are needed here."""

    async def call(self, endpoint: Endpoint[RequestT, ResponseT], request: RequestT) -> ResponseT: ...


@dataclass
class FilledNumbers:
    """A filter with the moments of the database's clock from which it was filled, and until which it was read.

    ``good_until`` is on the clock of this process.
    """

    ref_filter: RefFilter
    filled_from: datetime
    read_until: datetime
    good_until: float = 0.0


class NumberFilter:
    """The numbers that have an account, and a few others. A number that got its account some seconds ago is missing.

    The filter is filled page by page, and then polls what was added. ``monotonic`` counts seconds.
    """

    def __init__(self, auth: AuthService, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._auth = auth
        self._monotonic = monotonic
        secret = secrets.token_bytes(32)
        self._key, self._phones = secret.hex(), PhoneKeys(secret)
        self._numbers: FilledNumbers | None = None
        self._fill_at = 0.0

    def may_contain(self, number: E164) -> bool:
        """Whether the number may have an account. False if it had none some seconds ago."""
        numbers = self._numbers
        if numbers is None or self._monotonic() > numbers.good_until:
            return True
        return bool(numbers.ref_filter.positions(self._phones.refs([number])))

    def add(self, number: E164) -> None:
        """Let a number be asked for until the next fill, because it has activity now."""
        if self._numbers is not None:
            self._numbers.ref_filter.add(self._phones.refs([number]))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fill the filter and keep it up to date, in the background, until the block ends."""
        async with repeating("number_filter.update", POLL_SECONDS, self.update):
            yield

    async def update(self) -> None:
        """Read what was added, or everything if that is due. Raises ``ServiceError(UNAVAILABLE)``."""
        now = self._monotonic()
        if now >= self._fill_at:
            await self._fill(now)
        elif self._numbers is not None and not await self._catch_up(self._numbers):
            self._numbers, self._fill_at = None, now + RETRY_SECONDS
        ENTRIES.set(self._numbers.ref_filter.entries if self._numbers else 0)

    async def _fill(self, started: float) -> None:
        first = await self._gained(None)
        self._fill_at = started + RETRY_SECONDS
        numbers = await self._read_all(first) if first.is_complete else None
        if numbers is None or not await self._catch_up(numbers):
            self._numbers = None
            return
        self._numbers, self._fill_at = numbers, started + REFILL_SECONDS
        seconds, ref_filter = round(self._monotonic() - started, 1), numbers.ref_filter
        log.info("number_filter.filled", entries=ref_filter.entries, slots=ref_filter.slots, seconds=seconds)

    async def _read_all(self, first: GainedNumbers) -> FilledNumbers:
        size = _bytes_for(first.estimated)
        while True:
            ref_filter, count = RefFilter(bytearray(size)), 0
            async for slots in self._pages():
                ref_filter.add(refs_of(slots))
                count += len(slots)
            if _bytes_for(count) <= size:
                return FilledNumbers(ref_filter, filled_from=first.now, read_until=first.now)
            size = _bytes_for(count)

    async def _pages(self) -> AsyncIterator[list[int]]:
        last: int | None = 0
        while last is not None:
            page = await self._auth.call(LIST_NUMBERS, ListNumbers(key=self._key, after=last))
            yield page.slots
            last = page.last

    async def _catch_up(self, numbers: FilledNumbers) -> bool:
        """Add what was gained since the last call. False if the filter has to be filled from the beginning."""
        started = self._monotonic()
        gained = await self._gained(numbers.read_until - OVERLAP)
        numbers.ref_filter.add(refs_of(gained.slots))
        numbers.read_until, numbers.good_until = gained.now, started + MAX_AGE_SECONDS
        is_restored = gained.restored_at is not None and gained.restored_at > numbers.filled_from
        return gained.is_complete and not is_restored

    async def _gained(self, since: datetime | None) -> GainedNumbers:
        return await self._auth.call(LIST_GAINED_NUMBERS, ListGainedNumbers(key=self._key, since=since))


def _bytes_for(numbers: int) -> int:
    return bytes_for(min(numbers, MAX_NUMBERS), SLOTS_PER_NUMBER)
