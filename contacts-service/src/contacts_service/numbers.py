"""Reads whole address books: one regular expression for plain mainland numbers, ``read_entry`` for all others."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Any

from contacts_service.address_book import read_entry
from shared.numbers.spelling import ASCII_DROPPED, MAX_SPELLING
from shared.phone import E164, MAINLAND, MAINLAND_MOBILE, PhoneKeys

YIELD_EVERY = 25
"""How many entries ``read_entry`` reads (3 µs to 0.3 ms each) before other requests may run."""

_DROPPED = ASCII_DROPPED.replace(b"\n", b"")
"""What ``shared.numbers.spelling.clean`` drops, except the end of the line."""
_NO_MATCH = "(?!)"


class NumberReader:
    """Reads lists as clients send them. It reads each entry as ``address_book.read_entry`` does."""

    def __init__(self, keys: PhoneKeys, served: Iterable[str] = (MAINLAND,)) -> None:
        self._keys = keys
        self._served = frozenset(served)
        self._line_at_home = _line(r"(?:\+86|0086|86)?" if MAINLAND in self._served else _NO_MATCH)
        self._line_abroad = _line(r"(?:\+86|0086)" if MAINLAND in self._served else _NO_MATCH)

    def ref(self, number: E164) -> int:
        """The reference of a canonical number."""
        return self._keys.ref(number)

    async def read(self, entries: Sequence[Any], calling_code: str = MAINLAND) -> dict[int, str]:
        """The references of the numbers in a list, in its order, each with the first entry that spells it.

        National spellings belong to the country of ``calling_code``. Entries that are not mobile numbers, and entries
        that are not text, are skipped. Other tasks may run between entries that are not plain.
        """
        spellings: dict[E164, str] = {}
        parsed = 0
        line = self._line_at_home if calling_code == MAINLAND else self._line_abroad
        for entry, (plain, unclear) in zip(entries, line.findall(_lines(entries)), strict=True):
            if plain:
                spellings.setdefault(E164("+86" + plain), entry)
            elif unclear:
                parsed += 1
                if parsed % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
                if number := read_entry(entry, calling_code, self._served):
                    spellings.setdefault(number, entry)
        return dict(zip(self._keys.refs(spellings), spellings.values(), strict=True))


def _line(prefix: str) -> re.Pattern[str]:
    """Matches any line. The first group is a plain mainland number, the second an entry for ``read_entry``."""
    return re.compile(rf"{prefix}({MAINLAND_MOBILE})\n|(.*[0-9?].*)\n|.*\n")


def _lines(entries: Sequence[Any]) -> str:
    """One cleaned line of ASCII for each entry: ``?`` for what ``read_entry`` must read, empty for what is no text."""
    lines = [
        entry if isinstance(entry, str) and len(entry) <= MAX_SPELLING and "\n" not in entry else _mark(entry)
        for entry in entries
    ]
    return "\n".join([*lines, ""]).encode("ascii", "replace").translate(None, _DROPPED).decode()


def _mark(entry: Any) -> str:
    return "?" if isinstance(entry, str) else ""
