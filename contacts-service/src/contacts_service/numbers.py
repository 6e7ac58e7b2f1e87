"""A whole address book to references: one regular expression for mainland numbers, libphonenumber for the rest."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Any

from shared.errors import ServiceError
from shared.phone import E164, MAINLAND, MAX_SPELLING, PhoneKeys, parse

TURN = 100
"""Numbers that go through libphonenumber (13 us each) before other requests have their turn."""

_SEPARATORS = b" ().-"
_MOBILE = "1[3-9][0-9]{9}"
_NOTHING = "(?!)"


class NumberReader:
    """Reads lists as clients send them; its verdict on each entry is that of ``shared.phone.parse``."""

    def __init__(self, keys: PhoneKeys, served: Iterable[str] = (MAINLAND,)) -> None:
        self._keys = keys
        self._served = frozenset(served)
        self._line = _line(self._served)

    def ref(self, number: E164) -> int:
        """The reference of one canonical number."""
        return self._keys.ref(number)

    async def read(self, entries: Sequence[Any]) -> dict[int, str]:
        """References of all entries that are numbers, in order, each with its first spelling.

        Entries that are no number, or no string, are skipped. Lets other tasks run while it works through
        spellings that need libphonenumber.
        """
        first: dict[E164, str] = {}
        turn = 0
        for entry, (plain, unclear) in zip(entries, self._line.findall(_lines(entries)), strict=True):
            if plain:
                first.setdefault(E164("+86" + plain), entry)
            elif unclear:
                turn += 1
                if turn % TURN == 0:
                    await asyncio.sleep(0)
                if number := self._parse(entry):
                    first.setdefault(number, entry)
        return dict(zip(self._keys.refs(first), first.values(), strict=True))

    def _parse(self, entry: str) -> E164 | None:
        try:
            return parse(entry, served=self._served)
        except ServiceError:
            return None


def _line(served: frozenset[str]) -> re.Pattern[str]:
    """Matches any line: the first group is a plain mainland number, the second one that only ``parse`` can judge.

    ``parse`` removes prefixes and changes no digit, so where the mainland alone is served a spelling that does
    not end like a mobile number cannot become one.
    """
    plain = _MOBILE if MAINLAND in served else _NOTHING
    unclear = f"[0-9]*{_MOBILE}" if served == {MAINLAND} else "[0-9]+"
    return re.compile(rf"(?:\+86|0086|86)?({plain})\n|(\+?{unclear})\n|.*\n")


def _lines(entries: Sequence[Any]) -> str:
    """One line of ASCII per entry, without separators; it is empty, or holds a ``?``, where there is no number."""
    fit = [
        entry if isinstance(entry, str) and len(entry) <= MAX_SPELLING and "\n" not in entry else ""
        for entry in entries
    ]
    return "\n".join([*fit, ""]).encode("ascii", "replace").translate(None, _SEPARATORS).decode()
