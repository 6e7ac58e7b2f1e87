"""One entry of an address book to a number: what phones and people write around it is cut off."""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import islice

from shared.errors import ServiceError
from shared.phone import E164, MAINLAND, MAINLAND_MOBILE, parse
from shared.spelling import MAX_SPELLING, clean_character

MAX_READINGS = 8
"""How many readings of one entry are tried: a bound on the work that a client can cause."""

_BREAKS = re.compile(r"[\n\v\f\r\x1c-\x1e\x85\u2028\u2029/\\]")
"""What divides two numbers in one field."""
_GAPS = re.compile(r"[\s(){}\[\]]")
_CONTEXT = re.compile(r"phonecontext=\+([0-9]{1,15})")
_RUN = re.compile(r"[*#]*\+?[0-9][0-9+*# ]*|\+[0-9+ ]+")
_STAR_CODE = re.compile(r"[*#]+(?:[0-9]{2,3}[*# ] *|[0-9]{2})")
_EXIT_CODE = re.compile(r"0011|011|010|810|119|00700|00[02-9]|00")
_THREE_DIGIT_CARRIER = re.compile(rf"19[0367](0?{MAINLAND_MOBILE})")


def read_entry(text: str, calling_code: str = MAINLAND, served: Collection[str] = (MAINLAND,)) -> E164 | None:
    """The number of one entry, or ``None``; without a country, it is one of the country of ``calling_code``.

    Whatever ``shared.phone.parse`` accepts is read the same here. Further accepted: ``tel:``, ``sms:`` and vCard
    addresses with their parameters (RFC 3966, RFC 6350), pauses and extensions, star codes, a calling code written
    twice, exit codes of other countries, labels beside the number. Of several numbers the first is read.
    """
    if number := _parse(text, calling_code, served):
        return number
    if len(text) > MAX_SPELLING:
        return None
    for reading, code in islice(_readings(_marked(text), calling_code, served), MAX_READINGS):
        if number := _parse(reading, code, served):
            return number
    return None


def _parse(text: str, calling_code: str, served: Collection[str]) -> E164 | None:
    try:
        return parse(text, calling_code=calling_code, served=served)
    except ServiceError:
        return None


def _marked(text: str) -> str:
    """The text in ASCII digits, plus signs, spaces, ``;`` between numbers, and the other characters in lower case."""
    return "".join(map(_mark, text)).lower()


@lru_cache(maxsize=1024)
def _mark(character: str) -> str:
    if _BREAKS.match(character):
        return ";"
    return " " if _GAPS.match(character) else clean_character(character)


def _readings(marked: str, calling_code: str, served: Collection[str]) -> Iterator[tuple[str, str]]:
    """Spellings that the entry may stand for, the likeliest first, each with the country it is read in."""
    if context := _CONTEXT.search(marked):
        marked = marked[: context.start()] + marked[context.end() :]
    for run in _RUN.finditer(marked):
        has_label = marked[: run.start()][-1:].isalpha()
        for number in _numbers_in(run[0], has_label=has_label):
            if context and context[1] in served:
                yield number, context[1]
            elif context:
                yield f"+{context[1]}{number}", calling_code
            for spelling in _spellings(number, _served_pattern(frozenset(served))):
                yield spelling, calling_code


def _numbers_in(run: str, *, has_label: bool) -> Iterator[str]:
    """The number of a run of digits without star codes; else the first of several; else one after ``home 2``."""
    bare = run
    while star := _STAR_CODE.match(bare):
        bare = bare[star.end() :]
    parts = re.split("[*#]", bare.strip("*# "))[0].split()
    for count in range(len(parts), 0, -1):
        if _may_be_number(joined := "".join(parts[:count])):
            yield joined
    if has_label and len(parts) > 1 and len(parts[0]) == 1:
        yield "".join(parts[1:])
    if bare != run and _may_be_number(whole := run.strip("*# ")):
        yield whole


def _may_be_number(digits: str) -> bool:
    return 7 <= len(digits) <= 32


def _spellings(number: str, served: re.Pattern[str]) -> Iterator[str]:
    """The number as it is written, and with one country where it has a doubled one or another country's exit code."""
    yield number
    if doubled := served.fullmatch(number):
        yield f"+{doubled[1]}{doubled[2]}"
    if "+" in number[1:]:
        yield "+" + number.rpartition("+")[2]
    if carrier := _THREE_DIGIT_CARRIER.fullmatch(number):
        yield carrier[1]
    if (exit_code := _EXIT_CODE.match(number)) and served.fullmatch(abroad := "+" + number[exit_code.end() :]):
        yield abroad


@lru_cache(maxsize=16)
def _served_pattern(served: frozenset[str]) -> re.Pattern[str]:
    """Matches a number that begins with the calling code of a served country, once or more often."""
    codes = "|".join(sorted(served, key=len, reverse=True))
    return re.compile(rf"(?:\+|00)*({codes})(?:(?:\+|00)*\1)*\+?([0-9]+)")
