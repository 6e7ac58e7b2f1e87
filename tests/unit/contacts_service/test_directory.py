"""The filter never misses a member, has few false positives, and follows the table."""

import asyncio
import random
import signal
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.patience import MAX_SECONDS

from contacts_service.directory.directory import PAGE_ROWS, Directory
from contacts_service.directory.filling import FillingError
from shared.errors import ServiceError, unavailable
from shared.numbers.ref_filter import MIN_SLOTS_LOG2, SLOTS_PER_ENTRY, RefFilter, bytes_for

BIGINTS = st.integers(-(2**63), 2**63 - 1)
START = datetime(2026, 1, 1, tzinfo=UTC)
ANNA, BORIS, CLARA = 1 << 60, 2 << 60, 3 << 60  # references in slots of their own


def new_filter(entries: int = 0) -> RefFilter:
    return RefFilter(bytearray(bytes_for(entries)))


def candidates(members: RefFilter | Directory, refs: Sequence[int]) -> list[int]:
    return [refs[at] for at in members.positions(refs)]


def random_refs(count: int, seed: int) -> list[int]:
    drawn = array("q", random.Random(seed).randbytes(8 * count))
    return drawn.tolist()


@settings(deadline=None, max_examples=50, database=None)
@given(refs=st.lists(BIGINTS, max_size=30))
def test_every_reference_that_was_added_is_a_candidate(refs: list[int]) -> None:
    ref_filter = new_filter()
    ref_filter.add(refs)

    assert candidates(ref_filter, refs) == refs


def test_the_extremes_of_bigint_have_slots() -> None:
    ref_filter = new_filter()
    ref_filter.add([-1, -(2**63)])

    assert candidates(ref_filter, [-1, 0, 2**63 - 1, -(2**63)]) == [-1, -(2**63)]


def test_a_reference_in_a_neighbouring_slot_is_no_candidate() -> None:
    ref_filter = new_filter()
    width = 2**64 // ref_filter.slots
    starts = (-(2**63), -32 * width, 2**63 - 64 * width)
    neighbours = [start + number * width for start in starts for number in range(64)]
    every_third = neighbours[::3]
    ref_filter.add(every_third)

    assert candidates(ref_filter, neighbours) == every_third
    assert ref_filter.entries == len(every_third)


def test_a_full_filter_has_at_most_one_false_positive_in_32() -> None:
    entries = 2**MIN_SLOTS_LOG2 // SLOTS_PER_ENTRY
    ref_filter = new_filter(entries)
    ref_filter.add(random_refs(entries, seed=1))

    passed = ref_filter.positions(random_refs(200_000, seed=2))

    assert not ref_filter.outgrown
    assert len(passed) <= 200_000 / 31


def test_adding_references_again_does_not_fill_the_filter() -> None:
    ref_filter = new_filter()
    for _ in range(3):
        ref_filter.add(random_refs(1000, seed=1))

    assert ref_filter.entries <= 1000


def test_a_filter_has_slots_for_the_expected_entries() -> None:
    assert new_filter(0).slots == 2**MIN_SLOTS_LOG2
    assert new_filter(131_073).slots == 2**23


@dataclass
class Table:
    """The directory table as a list, with a clock that a test can move."""

    refs: list[int] = field(default_factory=list)
    changes: list[tuple[datetime, int]] = field(default_factory=list)
    clock: datetime = START
    is_down: bool = False
    estimate: int = 0
    pages: int = 0

    async def now(self) -> datetime:
        return self.clock

    async def estimated_rows(self) -> int:
        return self.estimate

    async def page(self, after: int, size: int) -> tuple[int, bytes]:
        self.pages += 1
        start = after + 1
        return start + size - 1, struct.pack(f">{len(page := self.refs[start : start + size])}q", *page)

    async def changed(self, since: datetime) -> tuple[datetime, Sequence[int]]:
        if self.is_down:
            raise unavailable()
        return self.clock, [ref for moment, ref in self.changes if moment > since]

    def write(self, ref: int, moment: datetime) -> None:
        self.refs.append(ref)
        self.changes.append((moment, ref))


async def test_the_whole_table_is_loaded_page_by_page() -> None:
    refs = random_refs(2 * PAGE_ROWS + 1, seed=3)
    table = Table(refs)
    directory = Directory(table)

    await directory.build()

    assert candidates(directory, refs) == refs
    assert table.pages == 4


async def test_until_the_filter_is_built_every_number_is_a_candidate() -> None:
    directory = Directory(Table(refs=[ANNA]))
    directory.add([ANNA])

    assert candidates(directory, [ANNA, BORIS]) == [ANNA, BORIS]


async def test_a_row_written_by_another_replica_during_the_first_build_is_in_the_filter() -> None:
    table = Table(refs=[ANNA])
    directory = Directory(table)
    read_page = table.page

    async def read_page_and_write(after: int, size: int) -> tuple[int, bytes]:
        page = await read_page(after, size)
        table.changes.append((table.clock, CLARA))
        return page

    table.page = read_page_and_write  # type: ignore[method-assign]
    await directory.build()

    assert candidates(directory, [ANNA, BORIS, CLARA]) == [ANNA, CLARA]


async def test_a_filter_of_the_size_that_the_table_estimates_is_built_in_one_pass() -> None:
    refs = random_refs(2**MIN_SLOTS_LOG2 // SLOTS_PER_ENTRY + 5_000, seed=4)
    table = Table(refs, estimate=len(refs))
    directory = Directory(table)

    await directory.build()

    assert candidates(directory, refs) == refs
    assert table.pages == len(refs) // PAGE_ROWS + 2


async def test_a_process_that_ends_before_the_filter_is_filled_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contacts_service.directory.filling.bytes_for", lambda _: 0)
    directory = Directory(Table(refs=[ANNA]))

    with pytest.raises(FillingError):
        await directory.build()

    assert candidates(directory, [ANNA, BORIS]) == [ANNA, BORIS]


async def test_the_end_of_the_service_ends_the_process_that_fills_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def record(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        started.append(await start(*arguments, **options))
        return started[-1]

    async def never_ending_page(after: int, size: int) -> tuple[int, bytes]:  # noqa: ARG001  the signature of the protocol
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", record)
    table = Table(refs=[ANNA])
    table.page = never_ending_page  # type: ignore[method-assign]
    async with asyncio.timeout(MAX_SECONDS), Directory(table).running():
        while not started:
            await asyncio.sleep(0.01)

    (process,) = started
    assert process.returncode == -signal.SIGKILL


async def test_filters_of_the_directory_are_built_and_followed_in_the_background() -> None:
    table = Table(refs=[ANNA])
    directory = Directory(table)

    async with directory.running():
        async with asyncio.timeout(MAX_SECONDS):
            while candidates(directory, [ANNA, BORIS]) != [ANNA]:
                await asyncio.sleep(0.01)
            table.write(CLARA, table.clock)
            while candidates(directory, [CLARA]) != [CLARA]:
                await asyncio.sleep(0.01)


async def test_a_table_larger_than_expected_gets_a_larger_filter() -> None:
    refs = random_refs(2**MIN_SLOTS_LOG2 // SLOTS_PER_ENTRY + 5_000, seed=4)
    directory = Directory(Table(refs))

    await directory.build()

    assert candidates(directory, refs) == refs
    assert directory._filter is not None
    assert directory._filter.slots == 2 ** (MIN_SLOTS_LOG2 + 1)


async def test_a_row_written_by_another_replica_is_added_at_the_next_poll() -> None:
    table = Table()
    directory = Directory(table)
    await directory.build()
    table.clock += timedelta(seconds=1)
    table.write(ANNA, table.clock)

    await directory.catch_up()

    assert candidates(directory, [ANNA]) == [ANNA]


async def test_a_row_committed_after_newer_rows_is_still_added() -> None:
    table = Table()
    directory = Directory(table)
    await directory.build()
    started = table.clock
    table.clock += timedelta(seconds=2)
    await directory.catch_up()
    table.write(ANNA, started)

    await directory.catch_up()

    assert candidates(directory, [ANNA]) == [ANNA]


async def test_no_row_is_missed_during_an_outage_of_the_database() -> None:
    table = Table()
    directory = Directory(table)
    await directory.build()
    table.is_down = True
    with pytest.raises(ServiceError):
        await directory.catch_up()
    table.write(ANNA, table.clock + timedelta(seconds=1))
    table.clock += timedelta(hours=1)
    table.is_down = False

    await directory.catch_up()

    assert candidates(directory, [ANNA]) == [ANNA]


async def test_a_reference_added_during_a_rebuild_is_in_the_new_filter() -> None:
    table = Table(refs=[ANNA])
    directory = Directory(table)
    await directory.build()
    read_page = table.page

    async def read_page_and_add(after: int, size: int) -> tuple[int, bytes]:
        page = await read_page(after, size)
        directory.add([CLARA])
        return page

    table.page = read_page_and_add  # type: ignore[method-assign]
    await directory.build()

    assert candidates(directory, [ANNA, CLARA]) == [ANNA, CLARA]


async def test_a_rebuild_drops_deleted_users() -> None:
    table = Table(refs=[ANNA, BORIS])
    directory = Directory(table)
    await directory.build()
    table.refs = [ANNA]

    await directory.build()

    assert candidates(directory, [ANNA, BORIS]) == [ANNA]


async def test_a_failed_rebuild_does_not_change_the_filter() -> None:
    table = Table(refs=[ANNA])
    directory = Directory(table)
    await directory.build()

    async def unavailable_page(after: int, size: int) -> tuple[int, bytes]:  # noqa: ARG001  the signature of the protocol
        raise unavailable()

    table.page = unavailable_page  # type: ignore[method-assign]
    with pytest.raises(ServiceError):
        await directory.build()
    directory.add([BORIS])

    assert candidates(directory, [ANNA, BORIS]) == [ANNA, BORIS]
    assert directory._added_meanwhile is None
