"""Reading address books: the fast path reads each entry as ``read_entry`` reads it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contacts_service.address_book import read_entry
from contacts_service.numbers import YIELD_EVERY, NumberReader
from shared.numbers.spelling import MAX_SPELLING
from shared.phone import E164, PhoneKeys

KEYS = PhoneKeys(b"k" * 32)
CALLERS = [(("86",), "86"), (("86", "852", "1"), "86"), (("86", "852"), "852"), (("852",), "852"), (("852",), "86")]
"""The countries that are served, and that of the caller."""

PREFIXES = [
    "",
    "+86",
    "0086",
    "86",
    "0",
    "+860",
    "00860",
    "8686",
    "17951",
    "12593",
    "+852",
    "+",
    "00",
    "++86",
    "+1",
    "1796400",
    "10193",
    "011",
    "*67",
    "手机",
    "+86+",
]
PIECES = [
    " ",
    "-",
    ".",
    "(",
    ")",
    "--",
    " ( ",
    "\n",
    "\0",
    "\t",
    "x1",
    ";ext=2",
    "a",
    "\r",
    "\v",
    "\x1c",
    "\x85",
    "\u2028",
    "?",
    "１",
    "٣",
    "\ud800",
    "😀",
    "+",
    "tel:",
    ",",
    "#",
    "转",
    "/",
    "\\",
    "_",
    "~",
    "\u200e",
    "\u2013",
    "\x7f",
    "9",
]
NASTY = [
    "+86 138-0013-8000",
    "(0086) 138.0013.8000",
    "8613800138000",
    "013800138000",
    "１３８００１３８０００",
    "13800138000\n",
    "\n13800138000",
    "1380013\n8000",
    "13800138000\n13800138001",
    "13800138000\r",
    "\r\n13800138000\r\n",
    "13800138000\u2028",
    "+8613800138000\n+8613800138001\n",
    "13800138000\0",
    "13800138000 ext 5",
    "tel:13800138000",
    "138001380001",
    "1380013800",
    "12800138000",
    "179-6400-1234",
    "17964001234",
    "+8617964001234",
    "8617964001234",
    "868613800138000",
    "0000000000000000000013800138000",
    "00+8613800138000",
    "138 0013 8000" + " " * 19,
    "138 0013 8000" + " " * 20,
    "+" + " " * 40 + "8613800138000",
    "",
    " ",
    " 85291234567",
    "9123 4567",
    "tel:9123-4567;phone-context=+852",
    "手机1 13800138000",
    "+86",
    "010-12345678",
    "10086",
    "+852 9123 4567",
    "+1 202 555 0123",
    None,
    13800138000,
    1.5,
    True,
    ["13800138000"],
    {"phone": "13800138000"},
]


def one_by_one(entries: Sequence[Any], served: Sequence[str] = ("86",), own: str = "86") -> list[tuple[int, str]]:
    """Each reference in the list's order, with its spelling."""
    spellings: list[tuple[int, str]] = []
    for entry in entries:
        number = read_entry(entry, own, served) if isinstance(entry, str) else None
        if number is not None:
            spellings.append((KEYS.ref(number), entry))
    return spellings


async def read(entries: Sequence[Any], served: Sequence[str] = ("86",), own: str = "86") -> list[tuple[int, str]]:
    refs, spellings = await NumberReader(KEYS, served).read(entries, own)
    return list(zip(refs, spellings, strict=True))


async def spelled(*entries: Any) -> list[str]:
    return [spelling for _, spelling in await read(entries)]


@st.composite
def spellings(draw: st.DrawFn) -> str:
    national = draw(
        st.from_regex(r"1[0-9]{8,12}", fullmatch=True) | st.from_regex(r"179[0-9]{2}00[0-9]{4}", fullmatch=True)
    )
    text = draw(st.sampled_from(PREFIXES)) + national
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=3)):
        position = draw(st.integers(0, len(text)))
        text = text[:position] + piece + text[position:]
    return text


entries = (
    spellings()
    | st.text("0123456789+-(). ", max_size=36)
    | st.text(max_size=20)
    | st.none()
    | st.integers()
    | st.sampled_from(NASTY)
)


@pytest.mark.parametrize(("served", "own"), CALLERS, ids=str)
@settings(deadline=None, max_examples=300, database=None)
@given(entries=st.lists(entries, max_size=12))
@example(entries=NASTY)
@example(entries=NASTY + NASTY[::-1])
async def test_a_list_is_read_like_its_entries_one_by_one(served: Sequence[str], own: str, entries: list[Any]) -> None:
    assert await read(entries, served, own) == one_by_one(entries, served, own)


async def test_every_mainland_mobile_prefix_is_read_in_every_common_spelling() -> None:
    for head in range(1000, 2000):
        number = f"{head}0012345"
        split = f"{number[:3]}-{number[3:7]} {number[7:]}"
        spelled = [number, split, "+86" + split, "0086 " + split, "86" + split, "0" + number]
        assert await read(spelled) == one_by_one(spelled), number


BARE = ["13800138000", "+8613900139000", "13900139001", "+86 138 0013 8000", "19999999999"]
SHIFTED = [
    "1380013800",
    "138001380001",
    "13800138",
    "1390013900\n",
    "12345678901",
    "23800138000",
    "1380013800a",
    "+8613800138",
]


@pytest.mark.parametrize(("served", "own"), CALLERS, ids=str)
async def test_a_list_of_bare_numbers_is_read_like_its_entries_one_by_one(served: Sequence[str], own: str) -> None:
    assert await read(BARE, served, own) == one_by_one(BARE, served, own)


@pytest.mark.parametrize("entry", [*SHIFTED, *NASTY], ids=repr)
async def test_one_other_entry_changes_nothing_about_the_bare_numbers_around_it(entry: Any) -> None:
    for position in range(len(BARE) + 1):
        listed = [*BARE[:position], entry, *BARE[position:]]
        assert await read(listed) == one_by_one(listed)


async def test_a_number_in_two_spellings_has_one_reference() -> None:
    listed = ["139 0013 9000", "+86 138-0013-8000", "13800138000", "13900139000", "17951 13800138000"]

    assert await spelled(*listed) == listed
    assert len({ref for ref, _ in await read(listed)}) == 2


async def test_the_order_of_the_list_is_kept_by_both_paths() -> None:
    listed = ["13800138005", "17951 13800138004", "mother", "13800138003", "013800138002", "13800138001"]

    assert await spelled(*listed) == [entry for entry in listed if entry != "mother"]


async def test_padding_does_not_count_within_the_length_that_is_cleaned() -> None:
    longest = "138 0013 8000".ljust(MAX_SPELLING)

    assert await spelled(longest, "13900139000" + " " * MAX_SPELLING) == [longest]


@pytest.mark.parametrize("entries", [[], [""], [None], ["", ""], ["\n"]])
async def test_a_list_without_numbers_has_no_references(entries: list[Any]) -> None:
    assert await read(entries) == []


async def test_references_are_those_of_events_and_tables() -> None:
    assert await read(["138 0013 8000"]) == [(KEYS.ref(E164("+8613800138000")), "138 0013 8000")]


async def test_other_tasks_run_while_a_list_of_unusual_spellings_is_read() -> None:
    odd = [f"17951 138{i:08d}" for i in range(1000)]
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    spellings = await read(odd)
    counting.cancel()

    assert len(spellings) == 1000
    assert turns >= 1000 // YIELD_EVERY - 1
