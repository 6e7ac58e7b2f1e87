"""Reads address books: one regular expression for mainland numbers, libphonenumber for all others."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Any

from shared.errors import ServiceError
from shared.phone import E164, MAINLAND, MAX_SPELLING, PhoneKeys, parse

YIELD_EVERY = 100
"""How many numbers libphonenumber parses (13 µs each) before other requests may run."""

_SEPARATORS = b" ().-"
_MOBILE = "1[3-9][0-9]{9}"
_NO_MATCH = "(?!)"


class NumberReader:
    """Reads lists as clients send them. It accepts exactly the entries that ``shared.phone.parse`` accepts."""

    def __init__(self, keys: PhoneKeys, served: Iterable[str] = (MAINLAND,)) -> None:
        self._keys = keys
        self._served = frozenset(served)
        self._line = _line(self._served)

    def ref(self, number: E164) -> int:
        """The reference of a canonical number."""
        return self._keys.ref(number)

    async def read(self, entries: Sequence[Any]) -> dict[int, str]:
        """The references of the numbers in a list, in its order, each with the first entry that spells it.

        Entries that are not phone numbers are skipped. Other tasks may run between entries that need libphonenumber.
        """
        spellings: dict[E164, str] = {}
        parsed = 0
        for entry, (plain, unclear) in zip(entries, self._line.findall(_lines(entries)), strict=True):
            if plain:
                spellings.setdefault(E164("+86" + plain), entry)
            elif unclear:
                parsed += 1
                if parsed % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
                if number := self._parse(entry):
                    spellings.setdefault(number, entry)
        return dict(zip(self._keys.refs(spellings), spellings.values(), strict=True))

    def _parse(self, entry: str) -> E164 | None:
        try:
            return parse(entry, served=self._served)
        except ServiceError:
            return None


def _line(served: frozenset[str]) -> re.Pattern[str]:
    """Matches any line. The first group is a mainland number, the second an entry that ``parse`` has to decide.

    ``parse`` removes prefixes and changes no digit. So if only the mainland is served, an entry that does not end like
    a mobile number cannot be one.
    """
    plain = _MOBILE if MAINLAND in served else _NO_MATCH
    unclear = f"[0-9]*{_MOBILE}" if served == {MAINLAND} else "[0-9]+"
    return re.compile(rf"(?:\+86|0086|86)?({plain})\n|(\+?{unclear})\n|.*\n")


def _lines(entries: Sequence[Any]) -> str:
    """One line of ASCII for each entry, without separators. A line is empty or contains ``?`` if there is no number."""
    lines = [
        entry if isinstance(entry, str) and len(entry) <= MAX_SPELLING and "\n" not in entry else ""
        for entry in entries
    ]
    return "\n".join([*lines, ""]).encode("ascii", "replace").translate(None, _SEPARATORS).decode()
