"""How many SMS segments carry a text. Carriers bill segments (3GPP TS 23.038, TS 23.040)."""

from collections.abc import Sequence
from typing import NamedTuple

GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The GSM default alphabet in the order of its codes, without the escape at 0x1B. Each character is one septet."""
GSM_EXTENDED = "\f^{}\\[~]|€"
"""The GSM extension table. Each character follows an escape, so it is two septets."""


class Encoding(NamedTuple):
    """An encoding of SMS texts, and how many units one segment holds: alone, and as a part of several."""

    name: str
    alone: int
    part: int


GSM_7 = Encoding("GSM-7", 160, 153)
UCS_2 = Encoding("UCS-2", 70, 67)

_SEPTETS = dict.fromkeys(GSM_BASIC, 1) | dict.fromkeys(GSM_EXTENDED, 2)


def encoding(text: str) -> Encoding:
    """GSM-7 if its tables have every character. A single other character makes the whole text UCS-2."""
    return GSM_7 if all(character in _SEPTETS for character in text) else UCS_2


def units(text: str) -> int:
    """The length of a text in its encoding: septets, or units of 16 bits."""
    return sum(_widths(text, encoding(text)))


def segments(text: str) -> int:
    """How many segments carry a text. An empty text takes one."""
    used = encoding(text)
    widths = _widths(text, used)
    return 1 if sum(widths) <= used.alone else _parts(widths, used.part)


def _widths(text: str, used: Encoding) -> Sequence[int]:
    if used is GSM_7:
        return [_SEPTETS[character] for character in text]
    return [2 if character > "\uffff" else 1 for character in text]


def _parts(widths: Sequence[int], capacity: int) -> int:
    """Parts of ``capacity`` units. A character two units wide, an escape or a surrogate pair, is never split."""
    parts, used = 1, 0
    for width in widths:
        if used + width > capacity:
            parts, used = parts + 1, 0
        used += width
    return parts
