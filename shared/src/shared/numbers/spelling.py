"""Cleans numbers and codes, as people and their phones write them, to ASCII."""

import re
import unicodedata
from functools import lru_cache

MAX_SPELLING = 1_000
"""The most characters of a text that is cleaned. Address books pad their fields, so this is generous."""

MAX_NUMBER = 10**20
"""A JSON number from here on has too many digits for a phone number."""

_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Pd", "Ps", "Pe"})
"""Control and format characters, spaces, line ends, dashes, and both sides of brackets."""
_DASHES = "\u02d7\u2043\u207b\u208b\u2212\u2500\u2501\u2796\u30fc"
_DOTS = "\u02d9\u0387\u1427\u2024\u2027\u2219\u22c5\u25cf\u25e6\ua78f"
_SLASHES = "\u2044\u2215\u2571\u2572\u29f5\u29f8\u29f9"
_TILDES = "~\u223c\u223d\u2053"
_UNDERSCORES = "\u02c9\u02cd\u203f\u2040"
_ANGLE_BRACKETS = "<>\u00ab\u00bb\u2039\u203a"
_DROPPED = frozenset(_DASHES + _DOTS + _SLASHES + _TILDES + _UNDERSCORES + _ANGLE_BRACKETS)
_PUNCTUATION = frozenset({"Po", "Pc", "Pi", "Pf", "Sk"})
_SEPARATOR_NAME = re.compile(
    "(?:.* )?(?:FULL STOP|DOT|SINGLE PUNCTUATION|BULLET|SOLIDUS|TILDE|LOW LINE|MACRON|OVERLINE|BRACKET)"
)
"""How Unicode names the dots, slashes, tildes, lines and brackets of all scripts."""
_PLUS_SIGNS = frozenset("+\u2795")
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u20e3\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc\U000e0000-\U000e0fff]"
)
"""Invisible characters of other categories: fillers, variation selectors, the frame of a keycap, and the place of an
object that was pasted."""


def clean(text: str) -> str:
    """A number or code in ASCII digits and plus signs. All other characters stay, so that the caller refuses them.

    Digits of every script and compatibility forms (full-width, superscript, circled) become ASCII digits. Spaces,
    dashes, dots, brackets, slashes, underscores and tildes of every kind, and all invisible characters, are dropped.
    A text of more than ``MAX_SPELLING`` characters is cleaned to the empty text.
    """
    if len(text) > MAX_SPELLING:
        return ""
    if text.isascii():
        return text.encode().translate(None, ASCII_DROPPED).decode()
    return "".join(map(clean_character, text))


def text_of(value: object) -> str:
    """A text, or the decimal digits of a whole JSON number; the empty text for any other value.

    Some clients write a number as ``1.3800138e10``, which is whole; ``true`` is not a number.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_NUMBER
    return str(value) if is_number else ""


@lru_cache(maxsize=1024)
def clean_character(character: str) -> str:
    """The clean form of one character. The cache is bounded, because clients choose the characters."""
    if character in _PLUS_SIGNS:
        return "+"
    if _is_separator(character) or _INVISIBLE.match(character):
        return ""
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    compatible = unicodedata.normalize("NFKC", character)
    if compatible == character or unicodedata.decomposition(character).startswith("<fraction>"):
        return character
    return "".join(map(clean_character, compatible))


def _is_separator(character: str) -> bool:
    category = unicodedata.category(character)
    if character in _DROPPED or category in _DROPPED_CATEGORIES:
        return True
    return category in _PUNCTUATION and _SEPARATOR_NAME.fullmatch(unicodedata.name(character, "")) is not None


ASCII_DROPPED = bytes(code for code in range(0x80) if not clean_character(chr(code)))
"""The ASCII characters that are dropped."""
