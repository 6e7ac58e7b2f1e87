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
MAX_FILL_AGE_SECONDS = 2 * REFILL_SECONDS
"""How long a filter is kept while no later fill succeeds."""
RETRY_SECONDS = 30.0
"""Until the next attempt, if there is a user source or an import. Each fill in vain doubles the pause."""

SLOTS_PER_NUMBER = 16
"""One number in 16 without an account passes a full filter, and is asked for."""
MAX_NUMBERS = 2**24
"""For how many numbers there is memory, 32 MiB. If there are more, more of the others are asked for."""
MAX_ACCOUNTS = 28_000_000
"""With more, over one in ten of the other numbers would pass, and fills would cost more: none is made."""
OFF_SECONDS = 86_400.0
"""Until the accounts are counted again, if there were too many."""

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

    ``started_at`` and ``polled_at`` are on the clock of this process: when the fill began, and the last good poll.
    """

    ref_filter: RefFilter
    filled_from: datetime
    read_until: datetime
    started_at: float
    polled_at: float


class NumberFilter:
    """The numbers that have an account, and a few others. A number that got its account some seconds ago is missing.

    The filter is filled page by page, and polls what was added, also between pages. ``monotonic`` counts seconds.
    """

    def __init__(self, auth: AuthService, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._auth = auth
        self._monotonic = monotonic
        secret = secrets.token_bytes(32)
        self._key, self._phones = secret.hex(), PhoneKeys(secret)
        self._numbers: FilledNumbers | None = None
        self._fill_at = 0.0
        self._pause = RETRY_SECONDS
        self._counted = 0

    def may_contain(self, number: E164) -> bool:
        """Whether the number may have an account. False if it had none some seconds ago."""
        numbers = self._usable()
        return numbers is None or numbers.ref_filter.may_contain(self._phones.ref(number))

    def add(self, number: E164) -> None:
        """Let a number be asked for until the next fill, because it has activity now."""
        if self._numbers is not None:
            self._numbers.ref_filter.add([self._phones.ref(number)])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fill the filter and keep it up to date, in the background, until the block ends."""
        async with repeating("number_filter.update", POLL_SECONDS, self.update):
            yield

    async def update(self) -> None:
        """Read what was added, or everything if that is due. Raises ``ServiceError(UNAVAILABLE)``."""
        try:
            if self._monotonic() >= self._fill_at:
                await self._fill()
            else:
                await self._poll()
        finally:
            self._show_entries()

    def _usable(self) -> FilledNumbers | None:
        numbers = self._numbers
        return None if numbers is None or self._monotonic() > numbers.polled_at + MAX_AGE_SECONDS else numbers

    def _show_entries(self) -> None:
        numbers = self._usable()
        ENTRIES.set(0 if numbers is None else numbers.ref_filter.entries)

    async def _poll(self) -> None:
        numbers = self._numbers
        if numbers is None:
            return
        if self._monotonic() > numbers.started_at + MAX_FILL_AGE_SECONDS:
            self._numbers = None
        elif not await self._catch_up(numbers):
            self._numbers, self._fill_at = None, self._monotonic() + RETRY_SECONDS

    async def _fill(self) -> None:
        started = self._monotonic()
        first = await self._gained(None)
        self._fill_at = started + RETRY_SECONDS
        if first.estimated > MAX_ACCOUNTS:
            self._stay_off(first.estimated)
            return
        ref_filter = RefFilter(bytearray(_bytes_for(max(first.estimated, self._counted))))
        numbers = FilledNumbers(ref_filter, first.now, first.now, started_at=started, polled_at=started)
        # Before any page is read: during an import the pages would be read in vain.
        if await self._catch_up(numbers):
            self._keep(numbers, await self._read_all(numbers))
        else:
            self._numbers = None

    async def _read_all(self, numbers: FilledNumbers) -> int | None:
        """Add all numbers and return how many, or ``MAX_ACCOUNTS`` and some. None if there came too many meanwhile."""
        count = 0
        try:
            async for slots in self._pages():
                numbers.ref_filter.add(refs_of(slots))
                count += len(slots)
                if count > MAX_ACCOUNTS:
                    return count
                if not await self._poll_between_pages(numbers):
                    return None
            return count if await self._catch_up(numbers) else None
        finally:
            self._fill_at = self._monotonic() + self._pause
            self._pause = min(2 * self._pause, REFILL_SECONDS)

    async def _poll_between_pages(self, numbers: FilledNumbers) -> bool:
        """If it is time, catch up with what was gained, also in the filter that is used. False as ``_catch_up``."""
        if self._monotonic() < numbers.polled_at + POLL_SECONDS:
            return True
        await self._poll()
        self._show_entries()
        return await self._catch_up(numbers)

    def _keep(self, numbers: FilledNumbers, count: int | None) -> None:
        """Use a filter into which so many numbers were read, unless that was in vain, or it is too small."""
        if count is None:
            self._numbers = None
        elif count > MAX_ACCOUNTS:
            self._stay_off(count)
        elif _bytes_for(count) * 8 > numbers.ref_filter.slots:
            self._counted, self._fill_at = count, self._monotonic()
        else:
            self._numbers, self._counted = numbers, count
            self._fill_at, self._pause = numbers.started_at + REFILL_SECONDS, RETRY_SECONDS
            seconds, ref_filter = round(self._monotonic() - numbers.started_at, 1), numbers.ref_filter
            log.info("number_filter.filled", entries=ref_filter.entries, slots=ref_filter.slots, seconds=seconds)

    def _stay_off(self, accounts: int) -> None:
        self._numbers, self._fill_at, self._pause = None, self._monotonic() + OFF_SECONDS, RETRY_SECONDS
        log.info("number_filter.off", accounts=accounts)

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
        numbers.read_until, numbers.polled_at = gained.now, started
        is_restored = gained.restored_at is not None and gained.restored_at > numbers.filled_from
        return gained.is_complete and not is_restored

    async def _gained(self, since: datetime | None) -> GainedNumbers:
        return await self._auth.call(LIST_GAINED_NUMBERS, ListGainedNumbers(key=self._key, since=since))


def _bytes_for(numbers: int) -> int:
    return bytes_for(min(numbers, MAX_NUMBERS), SLOTS_PER_NUMBER)
