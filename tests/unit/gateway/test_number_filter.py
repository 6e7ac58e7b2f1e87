"""The filter of registered numbers: it misses no account that is older than some seconds, and says when it knows nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from gateway.flows.number_filter import number_filter as module
from gateway.flows.number_filter.number_filter import (
    ENTRIES,
    MAX_ACCOUNTS,
    MAX_AGE_SECONDS,
    MAX_FILL_AGE_SECONDS,
    MAX_NUMBERS,
    OFF_SECONDS,
    OVERLAP,
    POLL_SECONDS,
    REFILL_SECONDS,
    RETRY_SECONDS,
    SLOTS_PER_NUMBER,
    NumberFilter,
)
from shared.errors import ServiceError, unavailable
from shared.internal_api.directory import (
    SLOT_BITS,
    GainedNumbers,
    ListedNumbers,
    ListGainedNumbers,
    ListNumbers,
    slots_of,
)
from shared.numbers.ref_filter import bytes_for
from shared.phone import E164, PhoneKeys

START = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 100


def numbers(count: int, first: int = 0) -> list[E164]:
    return [E164(f"+86138{number:08d}") for number in range(first, first + count)]


OTHERS = numbers(100, first=50_000_000)


@dataclass
class AuthService:
    """The accounts by their numbers, and when each got it, by the database's clock."""

    accounts: dict[E164, datetime] = field(default_factory=dict)
    seconds: float = 0.0
    is_complete: bool = True
    restored_at: datetime | None = None
    estimated: int = 0
    is_down: bool = False
    pages_left: int | None = None
    page_seconds: float = 0.0
    max_gained: int = 5_000
    calls: list[Any] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.seconds

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def add(self, added: Sequence[E164]) -> None:
        self.accounts |= dict.fromkeys(added, self.now)

    async def call(self, endpoint: Any, request: Any) -> Any:
        assert isinstance(request, endpoint.request)
        self.calls.append(request)
        if self.is_down:
            raise unavailable()
        keys = PhoneKeys(bytes.fromhex(request.key))
        if isinstance(request, ListGainedNumbers):
            gained = [] if request.since is None else [n for n, at in self.accounts.items() if at > request.since]
            return GainedNumbers(
                now=self.now,
                slots=slots_of(gained, keys),
                is_complete=self.is_complete and len(gained) <= self.max_gained,
                restored_at=self.restored_at,
                estimated=self.estimated,
            )
        assert isinstance(request, ListNumbers)
        if self.pages_left is not None:
            self.pages_left -= 1
            if self.pages_left < 0:
                raise unavailable()
        self.seconds += self.page_seconds
        page = list(self.accounts)[request.after : request.after + PAGE]
        return ListedNumbers(slots=slots_of(page, keys), last=request.after + len(page) if page else None)

    @property
    def fills(self) -> int:
        return sum(isinstance(request, ListNumbers) and request.after == 0 for request in self.calls)


async def filled(auth: AuthService) -> NumberFilter:
    number_filter = NumberFilter(auth, auth.monotonic)
    await number_filter.update()
    return number_filter


def count_asked(number_filter: NumberFilter, candidates: Sequence[E164]) -> int:
    """For how many of the numbers auth-service has to be asked."""
    return sum(map(number_filter.may_contain, candidates))


def knows_nothing(number_filter: NumberFilter) -> bool:
    return count_asked(number_filter, OTHERS) == len(OTHERS)


async def test_until_it_is_filled_every_number_may_have_an_account() -> None:
    auth = AuthService(is_down=True)
    number_filter = NumberFilter(auth, auth.monotonic)
    assert knows_nothing(number_filter)

    with pytest.raises(ServiceError):
        await number_filter.update()
    assert knows_nothing(number_filter)

    auth.is_down = False
    await number_filter.update()
    assert count_asked(number_filter, OTHERS) == 0


async def test_it_contains_every_account_and_few_other_numbers() -> None:
    auth = AuthService()
    auth.add(numbers(950))
    number_filter = await filled(auth)

    assert count_asked(number_filter, numbers(950)) == 950
    assert count_asked(number_filter, OTHERS) < len(OTHERS) / SLOTS_PER_NUMBER


async def test_a_full_filter_asks_for_at_most_one_in_16_of_the_other_numbers() -> None:
    entries = 2**22 // SLOTS_PER_NUMBER
    auth = AuthService(estimated=entries)
    number_filter = await filled(auth)
    assert number_filter._numbers is not None
    number_filter._numbers.ref_filter.add(PhoneKeys(b"k" * 32).refs(numbers(entries)))

    others = numbers(100_000, first=50_000_000)
    assert count_asked(number_filter, others) <= len(others) / (SLOTS_PER_NUMBER - 1)


async def test_what_accounts_get_is_added_by_the_next_poll_also_if_its_transaction_ended_late() -> None:
    auth = AuthService()
    number_filter = await filled(auth)
    early, late = numbers(2)
    auth.seconds = 2
    auth.add([early])
    await number_filter.update()
    assert number_filter.may_contain(early)

    auth.seconds = 4
    auth.accounts[late] = auth.now - OVERLAP + timedelta(seconds=3)
    await number_filter.update()
    assert number_filter.may_contain(late)
    assert auth.fills == 1


async def test_a_number_that_came_during_the_fill_is_not_missed() -> None:
    auth = AuthService()
    auth.add(numbers(250))
    during, call = E164("+8613700000000"), auth.call

    async def slow_call(endpoint: Any, request: Any) -> Any:
        page = await call(endpoint, request)
        if isinstance(request, ListNumbers) and page.last is None:
            auth.accounts = {during: auth.now + timedelta(seconds=1)} | auth.accounts
            auth.seconds += 60
        return page

    auth.call = slow_call  # type: ignore[method-assign]
    assert (await filled(auth)).may_contain(during)


async def test_too_old_it_knows_nothing_and_catches_up_with_all_that_it_missed() -> None:
    auth = AuthService()
    number_filter = await filled(auth)
    (missed,) = numbers(1)
    auth.seconds = MAX_AGE_SECONDS
    auth.add([missed])
    assert count_asked(number_filter, OTHERS) == 0

    auth.seconds, auth.is_down = MAX_AGE_SECONDS + 0.1, True
    with pytest.raises(ServiceError):
        await number_filter.update()
    assert knows_nothing(number_filter)

    auth.seconds, auth.is_down = 600, False
    await number_filter.update()
    assert number_filter.may_contain(missed)
    assert count_asked(number_filter, OTHERS) == 0
    assert auth.fills == 1


async def test_the_age_counts_from_the_question_and_not_from_the_answer() -> None:
    auth = AuthService()
    call = auth.call

    async def slow_call(endpoint: Any, request: Any) -> Any:
        answer = await call(endpoint, request)
        auth.seconds += MAX_AGE_SECONDS + 1
        return answer

    auth.call = slow_call  # type: ignore[method-assign]
    assert knows_nothing(await filled(auth))


async def test_where_other_numbers_count_as_registered_too_it_knows_nothing_and_reads_no_page() -> None:
    auth = AuthService(is_complete=False)
    number_filter = await filled(auth)
    assert knows_nothing(number_filter)
    assert auth.fills == 0

    auth.seconds, auth.is_complete = RETRY_SECONDS, True
    await number_filter.update()
    assert count_asked(number_filter, OTHERS) == 0


async def test_a_list_that_is_not_complete_ends_the_filter_until_it_is_filled_anew() -> None:
    auth = AuthService()
    number_filter = await filled(auth)
    (imported,) = numbers(1)
    auth.accounts[imported] = START - timedelta(days=1)
    auth.seconds, auth.is_complete = 2, False
    await number_filter.update()
    assert knows_nothing(number_filter)

    auth.is_complete = True
    auth.seconds = 2 + RETRY_SECONDS - 1
    await number_filter.update()
    assert knows_nothing(number_filter)
    auth.seconds = 2 + RETRY_SECONDS
    await number_filter.update()
    assert number_filter.may_contain(imported)
    assert count_asked(number_filter, OTHERS) == 0


async def test_after_a_restored_backup_it_is_filled_anew_because_accounts_came_back_without_a_trace() -> None:
    auth = AuthService()
    number_filter = await filled(auth)
    (back,) = numbers(1)
    auth.seconds = 2
    auth.accounts[back] = START - timedelta(days=1)
    auth.restored_at = auth.now
    await number_filter.update()
    assert knows_nothing(number_filter)

    auth.seconds = 2 + RETRY_SECONDS
    await number_filter.update()
    assert number_filter.may_contain(back)
    assert count_asked(number_filter, OTHERS) == 0
    auth.seconds += 2
    await number_filter.update()
    assert auth.fills == 2


async def test_a_backup_that_is_restored_while_the_filter_is_filled_again_ends_it_at_once() -> None:
    auth = AuthService()
    number_filter = await filled(auth)
    auth.seconds = REFILL_SECONDS - 1
    await number_filter.update()
    assert count_asked(number_filter, OTHERS) == 0

    auth.seconds = REFILL_SECONDS
    auth.restored_at = auth.now + timedelta(seconds=1)
    await number_filter.update()
    assert knows_nothing(number_filter)


async def test_a_fill_that_breaks_off_leaves_no_half_filter_and_is_not_repeated_at_once() -> None:
    auth = AuthService(pages_left=1)
    auth.add(numbers(250))
    number_filter = NumberFilter(auth, auth.monotonic)
    with pytest.raises(ServiceError):
        await number_filter.update()
    assert knows_nothing(number_filter)

    auth.pages_left, auth.seconds = None, RETRY_SECONDS - 1
    await number_filter.update()
    assert auth.fills == 1
    auth.seconds = RETRY_SECONDS
    await number_filter.update()
    assert count_asked(number_filter, numbers(250)) == 250
    assert count_asked(number_filter, OTHERS) < len(OTHERS)


async def test_a_fill_that_breaks_off_leaves_the_filter_of_before_complete() -> None:
    auth = AuthService()
    number_filter = await filled(auth)
    (new,) = numbers(1)
    auth.seconds = REFILL_SECONDS - 1
    auth.add([new])
    auth.seconds, auth.pages_left = REFILL_SECONDS + 2 * OVERLAP.total_seconds(), 0
    with pytest.raises(ServiceError):
        await number_filter.update()

    await number_filter.update()
    assert number_filter.may_contain(new)
    assert count_asked(number_filter, OTHERS) == 0


def long_ago(auth: AuthService, count: int) -> None:
    """Accounts that no poll lists."""
    auth.accounts |= dict.fromkeys(numbers(count), START - timedelta(days=1))


async def test_a_fill_during_an_import_ends_before_the_first_page() -> None:
    auth = AuthService(max_gained=10)
    auth.add(numbers(11))
    assert knows_nothing(await filled(auth))
    assert auth.fills == 0


async def test_a_long_fill_keeps_up_with_registrations_and_so_does_the_filter_in_use() -> None:
    """Five new numbers a second: 100 in the 20 s that a poll reads, and 300 during the fill, before the read users."""
    auth = AuthService(max_gained=100)
    long_ago(auth, 1_000)
    number_filter, call, asked_during_the_fill = await filled(auth), auth.call, []
    added = iter(numbers(300, first=70_000_000))

    async def call_beside_registrations(endpoint: Any, request: Any) -> Any:
        if isinstance(request, ListNumbers):
            auth.seconds += 5
            auth.accounts = dict.fromkeys(islice(added, 25), auth.now) | auth.accounts
            asked_during_the_fill.append(count_asked(number_filter, OTHERS))
        return await call(endpoint, request)

    auth.seconds = REFILL_SECONDS - 1
    await number_filter.update()
    auth.seconds = REFILL_SECONDS
    auth.call = call_beside_registrations  # type: ignore[method-assign]
    await number_filter.update()

    assert auth.fills == 2
    assert len(asked_during_the_fill) > 10
    assert max(asked_during_the_fill) < len(OTHERS)
    assert count_asked(number_filter, list(auth.accounts)) == len(auth.accounts)
    assert count_asked(number_filter, OTHERS) < len(OTHERS)


async def test_a_fill_ends_when_an_import_begins() -> None:
    auth = AuthService(page_seconds=POLL_SECONDS)
    long_ago(auth, 1_000)
    number_filter, call = NumberFilter(auth, auth.monotonic), auth.call

    async def call_at_an_import(endpoint: Any, request: Any) -> Any:
        auth.is_complete = auth.fills == 0
        return await call(endpoint, request)

    auth.call = call_at_an_import  # type: ignore[method-assign]
    await number_filter.update()
    assert sum(isinstance(request, ListNumbers) for request in auth.calls) == 1
    assert knows_nothing(number_filter)


async def test_the_pause_doubles_with_each_fill_in_vain_and_is_short_again_after_a_good_one() -> None:
    auth = AuthService()
    number_filter = NumberFilter(auth, auth.monotonic)
    pauses = [RETRY_SECONDS * 2**fill for fill in range(10)]
    for fill, pause in enumerate(pauses):
        auth.pages_left = 0
        with pytest.raises(ServiceError):
            await number_filter.update()
        auth.seconds += min(pause, REFILL_SECONDS) - 1
        await number_filter.update()
        assert auth.fills == fill + 1
        auth.seconds += 1

    auth.pages_left = None
    await number_filter.update()
    assert count_asked(number_filter, OTHERS) == 0

    auth.seconds, auth.pages_left = auth.seconds + REFILL_SECONDS, 0
    with pytest.raises(ServiceError):
        await number_filter.update()
    auth.seconds, auth.pages_left = auth.seconds + RETRY_SECONDS, None
    await number_filter.update()
    assert auth.fills == len(pauses) + 3


async def test_a_filter_is_dropped_when_no_later_fill_succeeded_in_two_hours() -> None:
    auth = AuthService()
    number_filter = await filled(auth)
    auth.pages_left = 0
    auth.seconds = MAX_FILL_AGE_SECONDS - 1
    with pytest.raises(ServiceError):
        await number_filter.update()
    await number_filter.update()
    assert count_asked(number_filter, OTHERS) == 0

    auth.seconds = MAX_FILL_AGE_SECONDS + 1
    await number_filter.update()
    assert knows_nothing(number_filter)


@pytest.mark.parametrize("is_estimated", [True, False], ids=["by the estimate", "by what was read"])
async def test_too_many_accounts_switch_it_off_for_a_day(
    *, is_estimated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ACCOUNTS", 2 * PAGE)
    auth = AuthService(estimated=2 * PAGE + 1 if is_estimated else 0)
    auth.add(numbers(10 * PAGE))
    number_filter = await filled(auth)
    assert knows_nothing(number_filter)
    assert sum(isinstance(request, ListNumbers) for request in auth.calls) == (0 if is_estimated else 3)

    auth.accounts, auth.estimated, auth.seconds = {}, 0, OFF_SECONDS - 1
    await number_filter.update()
    assert knows_nothing(number_filter)
    auth.seconds = OFF_SECONDS
    await number_filter.update()
    assert count_asked(number_filter, OTHERS) == 0


def test_the_most_accounts_let_one_in_ten_of_the_other_numbers_pass() -> None:
    assert 0.09 < 1 - math.exp(-MAX_ACCOUNTS / 2**SLOT_BITS) < 0.1


def shown_entries() -> float:
    (metric,) = ENTRIES.collect()
    return metric.samples[0].value


async def test_the_gauge_shows_zero_while_the_filter_cannot_be_used() -> None:
    auth = AuthService()
    auth.add(numbers(3))
    number_filter = await filled(auth)
    assert shown_entries() == 3

    auth.seconds, auth.is_down = MAX_AGE_SECONDS + 1, True
    with pytest.raises(ServiceError):
        await number_filter.update()
    assert shown_entries() == 0

    auth.is_down = False
    await number_filter.update()
    assert shown_entries() == 3


async def test_a_number_that_is_active_now_is_asked_for_until_the_next_fill() -> None:
    auth = AuthService()
    number_filter = NumberFilter(auth, auth.monotonic)
    (active,) = numbers(1)
    number_filter.add(active)
    await number_filter.update()
    assert not number_filter.may_contain(active)

    number_filter.add(active)
    assert number_filter.may_contain(active)
    auth.seconds = REFILL_SECONDS
    await number_filter.update()
    assert not number_filter.may_contain(active)


async def test_a_later_fill_leaves_out_the_numbers_whose_accounts_are_gone() -> None:
    auth = AuthService()
    auth.add(numbers(3))
    number_filter = await filled(auth)
    auth.accounts.clear()
    auth.seconds = 2
    await number_filter.update()
    assert count_asked(number_filter, numbers(3)) == 3

    auth.seconds = REFILL_SECONDS
    await number_filter.update()
    assert count_asked(number_filter, numbers(3)) == 0


async def test_a_filter_that_was_made_too_small_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "bytes_for", lambda entries, _: 64 if entries <= 32 else 4096)
    auth = AuthService()
    auth.add(numbers(40))
    number_filter = await filled(auth)
    assert knows_nothing(number_filter)

    await number_filter.update()
    assert auth.fills == 2
    assert count_asked(number_filter, numbers(40)) == 40
    assert count_asked(number_filter, OTHERS) < 10


def test_its_memory_has_a_bound_that_its_slots_cannot_outgrow() -> None:
    largest = module._bytes_for(10 * MAX_NUMBERS)
    assert largest == bytes_for(MAX_NUMBERS, SLOTS_PER_NUMBER) == 32 * 2**20
    assert 8 * largest == 2**SLOT_BITS


async def test_each_filter_has_a_key_of_its_own() -> None:
    auth = AuthService()
    await filled(auth)
    await filled(auth)
    assert len({request.key for request in auth.calls}) == 2
