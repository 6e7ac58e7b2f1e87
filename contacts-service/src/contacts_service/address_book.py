"""Reads one entry of an address book: the number without what phones and people write around it."""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import islice

from shared.errors import ServiceError
from shared.numbers.spelling import MAX_SPELLING, clean, clean_character
from shared.phone import E164, MAINLAND, MAINLAND_MOBILE, parse

SHORTEST, LONGEST = 7, 32
"""Digits of a number with all its prefixes."""
MAX_READINGS = 8
"""How many readings of one entry are tried. It bounds the work that a client can cause."""

_BREAKS = re.compile(r"[\n\v\f\r\x1c-\x1e\x85\u2028\u2029/\\]")
"""Characters between two numbers in one field."""
_GAPS = re.compile(r"[\s(){}\[\]]")
_NUMBERING = re.compile(r"\s*(?:[(（\[【]?\d{1,2}[)）\]】]|\d{1,2}\.\s|[①-⑳]\s)")
"""The place of an entry in a list: ``1. …``, ``(2) …``, ``③ …``."""
_LEFTOVER = re.compile(r"(?:[(（\[【]\d{1,4}[)）\]】]|\.0{1,2}|\+)$")
"""What exports and duplicates leave behind a number: ``(2)``, the ``.0`` of a spreadsheet, a plus sign."""
_CONTEXT = re.compile(r"phonecontext=\+([0-9]{1,15})")
_RUN = re.compile(r"[*#]*\+?[0-9][0-9+*# ]*|\+[0-9+ ]+")
_STAR_CODE = re.compile(r"[*#]+(?:[0-9]{2,3}[*# ] *|[0-9]{2})")
_EXIT_CODE = re.compile(r"0011|011|010|810|119|00700|00[02-9]|00")
_THREE_DIGIT_CARRIER = re.compile(rf"19[0367](0?{MAINLAND_MOBILE})")


def read_entry(text: str, calling_code: str = MAINLAND, served: Collection[str] = (MAINLAND,)) -> E164 | None:
    """The number of one entry, or ``None``. ``calling_code`` applies to a national number.

    It reads every number that ``shared.phone.parse`` reads. It also reads ``tel:``, ``sms:`` and vCard addresses with
    their parameters (RFC 3966, RFC 6350), and drops pauses, extensions, star codes, a calling code that is written
    twice, exit codes of other countries, labels beside the number, and a place in a list before it. It reads the first
    of several numbers.
    """
    if number := _parse(text, calling_code, served):
        return number
    if len(text) > MAX_SPELLING:
        return None
    seen = {(clean(text), calling_code)}
    for reading in islice(_readings(_marked(_bare(text)), calling_code, served), MAX_READINGS):
        if reading not in seen and (number := _parse(*reading, served)):
            return number
        seen.add(reading)
    return None


def _parse(text: str, calling_code: str, served: Collection[str]) -> E164 | None:
    try:
        return parse(text, calling_code=calling_code, served=served)
    except ServiceError:
        return None


def _bare(text: str) -> str:
    """A text without its place in a list before it and without leftovers behind it."""
    numbering = _NUMBERING.match(text)
    return _LEFTOVER.sub("", text[numbering.end() if numbering else 0 :].rstrip())


def _marked(text: str) -> str:
    """A text with ASCII digits, spaces for gaps, ``;`` between numbers, and its other characters in lower case."""
    return "".join(map(_mark, text)).lower()


@lru_cache(maxsize=1024)
def _mark(character: str) -> str:
    if _BREAKS.match(character):
        return ";"
    return " " if _GAPS.match(character) else clean_character(character)


def _readings(marked: str, calling_code: str, served: Collection[str]) -> Iterator[tuple[str, str]]:
    """The spellings that an entry may mean, the likeliest first, each with the calling code of national numbers."""
    patterns = _patterns(calling_code, frozenset(served))
    if context := _CONTEXT.search(marked):
        marked = marked[: context.start()] + marked[context.end() :]
    for run in _RUN.finditer(marked):
        has_label = marked[: run.start()][-1:].isalpha()
        for number in _numbers_in(run[0], has_label=has_label):
            if context and context[1] in served:
                yield number, context[1]
            elif context:
                yield f"+{context[1]}{number}", calling_code
            for spelling in _spellings(number, *patterns):
                yield spelling, calling_code


def _numbers_in(run: str, *, has_label: bool) -> Iterator[str]:
    """The numbers that a run may hold: all of it without star codes, the first of two, what follows a label's digit."""
    bare = run
    while star := _STAR_CODE.match(bare):
        bare = bare[star.end() :]
    parts = re.split("[*#]", bare.strip("*# "))[0].split()
    yield "".join(parts)
    for count in range(len(parts) - 1, 0, -1):
        first, second = "".join(parts[:count]), "".join(parts[count:])
        if len(first) >= SHORTEST and len(second) >= SHORTEST:
            yield first
    if has_label and len(parts) > 1 and len(parts[0]) == 1:
        yield "".join(parts[1:])
    if bare != run:
        yield run.strip("*# ").replace(" ", "")


def _spellings(number: str, own: re.Pattern[str], abroad: re.Pattern[str]) -> Iterator[str]:
    """A number as it is written, then with one plain calling code for a doubled one or one after an exit code."""
    if not SHORTEST <= len(number) <= LONGEST:
        return
    yield number
    if doubled := own.fullmatch(number) or abroad.fullmatch(number):
        yield f"+{doubled[1] or doubled[2]}{doubled[3]}"
    if "+" in number[1:]:
        yield "+" + number.rpartition("+")[2]
    if carrier := _THREE_DIGIT_CARRIER.fullmatch(number):
        yield carrier[1]
    if (exit_code := _EXIT_CODE.match(number)) and abroad.fullmatch(dialled := "+" + number[exit_code.end() :]):
        yield dialled


@lru_cache(maxsize=16)
def _patterns(own: str, served: frozenset[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Match a number that begins with a calling code, once or repeatedly: the caller's own, and one of those served.

    The codes of other countries count only next to a plus sign or ``00``: without it a number is a national one.
    """
    codes = "|".join(sorted(served, key=len, reverse=True))
    at_home = re.compile(rf"({own})()(?:(?:\+|00)*{own})*\+?([0-9]+)")
    abroad = re.compile(rf"(?:(?:\+|00)+({codes})(?:(?:\+|00)*\1)*\+?|({codes})\+)([0-9]+)")
    return at_home, abroad
