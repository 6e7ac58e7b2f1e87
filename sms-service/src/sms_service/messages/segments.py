"""How many short messages a text is: what a carrier bills (3GPP TS 23.038, TS 23.040)."""

from collections.abc import Sequence
from typing import NamedTuple

GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet in the order of its codes, without the escape at 0x1B: a septet each."""
GSM_EXTENDED = "\f^{}\\[~]|€"
"""What is written with an escape before it: two septets each."""


class Encoding(NamedTuple):
    """How a text is written on the air, and how many units fit into one short message: alone, and as a part."""

    name: str
    alone: int
    part: int


GSM_7 = Encoding("GSM-7", 160, 153)
UCS_2 = Encoding("UCS-2", 70, 67)

_SEPTETS = dict.fromkeys(GSM_BASIC, 1) | dict.fromkeys(GSM_EXTENDED, 2)


def encoding(text: str) -> Encoding:
    """GSM-7 while every character is in its tables; one that is not makes the whole text UCS-2."""
    return GSM_7 if all(character in _SEPTETS for character in text) else UCS_2


def units(text: str) -> int:
    """How long a text is in its encoding: septets, or units of 16 bits."""
    return sum(_widths(text, encoding(text)))


def segments(text: str) -> int:
    """How many short messages carry a text. An empty one is a message too."""
    written = encoding(text)
    widths = _widths(text, written)
    return 1 if sum(widths) <= written.alone else _parts(widths, written.part)


def _widths(text: str, written: Encoding) -> Sequence[int]:
    if written is GSM_7:
        return [_SEPTETS[character] for character in text]
    return [2 if character > "\uffff" else 1 for character in text]


def _parts(widths: Sequence[int], room: int) -> int:
    """Parts of ``room`` units. What is two units wide, an escape or a surrogate pair, is not torn in two."""
    parts, used = 1, 0
    for width in widths:
        if used + width > room:
            parts, used = parts + 1, 0
        used += width
    return parts
