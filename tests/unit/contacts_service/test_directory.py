"""The filter: it never loses a member, lets few strangers pass, and follows the table."""

import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contacts_service.directory import FEWEST_SLOTS_LOG2, PAGE, SLOTS_PER_ENTRY, Directory, RefFilter
from shared.errors import ServiceError, unavailable

BIGINTS = st.integers(-(2**63), 2**63 - 1)
START = datetime(2026, 1, 1, tzinfo=UTC)
ANNA, BORIS, CLARA = 1 << 60, 2 << 60, 3 << 60  # references in slots of their own


def random_refs(count: int, seed: int) -> list[int]:
    drawn = array("q", random.Random(seed).randbytes(8 * count))
    return drawn.tolist()


@settings(deadline=None, max_examples=50, database=None)
@given(refs=st.lists(BIGINTS, max_size=30))
def test_whoever_was_added_passes(refs: list[int]) -> None:
    held = RefFilter()
    held.add(refs)

    assert held.likely(refs) == refs


def test_the_extremes_of_bigint_have_slots() -> None:
    held = RefFilter()
    held.add([-1, -(2**63)])

    assert held.likely([-1, 0, 2**63 - 1, -(2**63)]) == [-1, -(2**63)]


def test_a_slot_lets_none_of_its_neighbours_pass() -> None:
    held = RefFilter()
    width = 2**64 // held.slots
    starts = (-(2**63), -32 * width, 2**63 - 64 * width)
    neighbours = [start + number * width for start in starts for number in range(64)]
    every_third = neighbours[::3]
    held.add(every_third)

    assert held.likely(neighbours) == every_third
    assert held.entries == len(every_third)


def test_at_most_one_stranger_in_32_passes_a_full_filter() -> None:
    entries = 2**FEWEST_SLOTS_LOG2 // SLOTS_PER_ENTRY
    held = RefFilter(entries)
    held.add(random_refs(entries, seed=1))

    passed = held.likely(random_refs(200_000, seed=2))

    assert not held.outgrown
    assert len(passed) <= 200_000 / 31


def test_adding_again_does_not_make_it_fuller() -> None:
    held = RefFilter()
    for _ in range(3):
        held.add(random_refs(1000, seed=1))

    assert held.entries <= 1000


def test_a_filter_grows_with_what_it_is_made_for() -> None:
    assert RefFilter(0).slots == 2**FEWEST_SLOTS_LOG2
    assert RefFilter(131_073).slots == 2**23


@dataclass
class Table:
    """The directory table as a list, with a clock that a test moves."""

    refs: list[int] = field(default_factory=list)
    changes: list[tuple[datetime, int]] = field(default_factory=list)
    clock: datetime = START
    away: bool = False
    pages: int = 0

    async def now(self) -> datetime:
        return self.clock

    async def page(self, after: int, size: int) -> tuple[int, Sequence[int]]:
        self.pages += 1
        start = after + 1
        return start + size - 1, self.refs[start : start + size]

    async def changed(self, since: datetime) -> tuple[datetime, Sequence[int]]:
        if self.away:
            raise unavailable()
        return self.clock, [ref for moment, ref in self.changes if moment > since]

    def write(self, ref: int, moment: datetime) -> None:
        self.refs.append(ref)
        self.changes.append((moment, ref))


async def test_the_whole_table_is_loaded_page_by_page() -> None:
    refs = random_refs(2 * PAGE + 1, seed=3)
    table = Table(refs)
    directory = Directory(table)

    await directory.build()

    assert directory.likely(refs) == refs
    assert table.pages == 4


async def test_a_table_larger_than_expected_gets_a_larger_filter() -> None:
    refs = random_refs(2**FEWEST_SLOTS_LOG2 // SLOTS_PER_ENTRY + 5_000, seed=4)
    directory = Directory(Table(refs))

    await directory.build()

    assert directory.likely(refs) == refs
    assert directory._filter.slots == 2 ** (FEWEST_SLOTS_LOG2 + 1)


async def test_what_another_replica_wrote_is_learnt_at_the_next_turn() -> None:
    table = Table()
    directory = Directory(table)
    await directory.build()
    table.clock += timedelta(seconds=1)
    table.write(ANNA, table.clock)

    await directory.catch_up()

    assert directory.likely([ANNA]) == [ANNA]


async def test_a_row_committed_after_later_ones_is_still_learnt() -> None:
    table = Table()
    directory = Directory(table)
    await directory.build()
    began = table.clock
    table.clock += timedelta(seconds=2)
    await directory.catch_up()
    table.write(ANNA, began)

    await directory.catch_up()

    assert directory.likely([ANNA]) == [ANNA]


async def test_nothing_is_missed_over_an_outage_of_the_database() -> None:
    table = Table()
    directory = Directory(table)
    await directory.build()
    table.away = True
    with pytest.raises(ServiceError):
        await directory.catch_up()
    table.write(ANNA, table.clock + timedelta(seconds=1))
    table.clock += timedelta(hours=1)
    table.away = False

    await directory.catch_up()

    assert directory.likely([ANNA]) == [ANNA]


async def test_what_is_learnt_during_a_rebuild_outlives_it() -> None:
    table = Table(refs=[ANNA])
    directory = Directory(table)
    await directory.build()
    plain = table.page

    async def page_and_news(after: int, size: int) -> tuple[int, Sequence[int]]:
        found = await plain(after, size)
        directory.learn([CLARA])
        return found

    table.page = page_and_news  # type: ignore[method-assign]
    await directory.build()

    assert directory.likely([ANNA, CLARA]) == [ANNA, CLARA]


async def test_a_rebuild_drops_who_has_left() -> None:
    table = Table(refs=[ANNA, BORIS])
    directory = Directory(table)
    await directory.build()
    table.refs = [ANNA]

    await directory.build()

    assert directory.likely([ANNA, BORIS]) == [ANNA]


async def test_a_failed_rebuild_leaves_the_filter_as_it_was() -> None:
    table = Table(refs=[ANNA])
    directory = Directory(table)
    await directory.build()

    async def away(after: int, size: int) -> tuple[int, Sequence[int]]:  # noqa: ARG001  as the port has it
        raise unavailable()

    table.page = away  # type: ignore[method-assign]
    with pytest.raises(ServiceError):
        await directory.build()
    directory.learn([BORIS])

    assert directory.likely([ANNA, BORIS]) == [ANNA, BORIS]
    assert directory._growing is None
