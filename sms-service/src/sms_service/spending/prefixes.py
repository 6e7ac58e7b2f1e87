"""The prefixes of a number, by its digits: its country, its operator's network, and its number range."""

from typing import NamedTuple

from shared.phone import E164

_MAX_CODE_DIGITS = 3
_TWO_DIGITS = (20, 27, *range(30, 35), 36, 39, 40, 41, *range(43, 50), *range(51, 59), *range(60, 67))
_CODES_OF_ONE_OR_TWO = frozenset(map(str, (1, 7, *_TWO_DIGITS, 81, 82, 84, 86, *range(90, 96), 98)))
"""E.164 calling codes; all others have three digits. A table, because the library takes 15 MiB in each process."""
_NETWORK_DIGITS = 3
_RANGE_DIGITS = {"86": 7, "1": 6}
"""China assigns numbers to operators by seven national digits (an H-code: 10,000 numbers), North America by six."""
_OTHER_RANGE_DIGITS = 4
_MIN_OPEN_DIGITS = 4
"""A range leaves at least this many digits open: people may see a range, but never a whole number."""


class NumberPrefixes(NamedTuple):
    """Three prefixes of one number, each within the next, such as ``+861380013``, ``+86138`` and ``+86``."""

    range: str
    network: str
    country: str


def prefixes_of(number: E164) -> NumberPrefixes:
    """The prefixes of a number. For a short number, all three may be its country."""
    code = calling_code(number)
    start = 1 + len(code)
    max_length = max(start, len(number) - _MIN_OPEN_DIGITS)
    range_end = min(start + _RANGE_DIGITS.get(code, _OTHER_RANGE_DIGITS), max_length)
    return NumberPrefixes(number[:range_end], number[: min(start + _NETWORK_DIGITS, max_length)], number[:start])


def calling_code(number: str) -> str:
    """The calling code that a number begins with, without the plus sign."""
    known = (number[1:end] for end in (2, 3) if number[1:end] in _CODES_OF_ONE_OR_TWO)
    return next(known, number[1 : 1 + _MAX_CODE_DIGITS])
