"""Where a number belongs, by its digits: its country, its operator's network, and its block of numbers."""

from typing import NamedTuple

from shared.phone import E164

_MAX_CODE = 3
_TWO_DIGITS = (20, 27, *range(30, 35), 36, 39, 40, 41, *range(43, 50), *range(51, 59), *range(60, 67))
_CODES_OF_ONE_OR_TWO = frozenset(map(str, (1, 7, *_TWO_DIGITS, 81, 82, 84, 86, *range(90, 96), 98)))
"""E.164 calling codes; all others have three digits. No library, which would weigh 15 MiB in each process."""
_NETWORK_DIGITS = 3
_BLOCK_DIGITS = {"86": 7, "1": 6}
"""Mainland operators are given numbers by seven digits (an H-code, 10,000 numbers), American ones by six."""
_OTHER_BLOCK_DIGITS = 4
_OPEN_DIGITS = 4
"""What a block leaves open of each number at least: it is shown to people, and no number may be."""


class NumberPrefixes(NamedTuple):
    """Three prefixes of one number, each within the one after it, as ``+861380013``, ``+86138`` and ``+86``."""

    range: str
    network: str
    country: str


def prefixes_of(number: E164) -> NumberPrefixes:
    """Where a number belongs; of a short one, all three may be its country."""
    code = calling_code(number)
    start = 1 + len(code)
    longest = max(start, len(number) - _OPEN_DIGITS)
    block = min(start + _BLOCK_DIGITS.get(code, _OTHER_BLOCK_DIGITS), longest)
    return NumberPrefixes(number[:block], number[: min(start + _NETWORK_DIGITS, longest)], number[:start])


def calling_code(number: str) -> str:
    """The calling code that a number begins with."""
    known = (number[1:end] for end in (2, 3) if number[1:end] in _CODES_OF_ONE_OR_TWO)
    return next(known, number[1 : 1 + _MAX_CODE])
