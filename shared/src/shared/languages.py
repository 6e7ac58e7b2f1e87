"""The language a person reads: Chinese, or English if they prefer it."""

import re

_LANGUAGE_RANGE = re.compile(r"\s*(zh|en|\*)(?:-[a-z0-9-]*)?\s*(?:;\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")
_MAX_LANGUAGES = 20
_CHINESE_READERS = ("+86", "+852", "+853", "+886")
"""Mainland China, Hong Kong, Macau, Taiwan."""


def language_for(accepted: str) -> str:
    """``zh`` or ``en``, as an ``Accept-Language`` header (RFC 9110) prefers; ``zh`` if it prefers neither."""
    return language_named(accepted) or "zh"


def language_named(accepted: str) -> str | None:
    """``zh`` or ``en``; None if the header prefers another language or accepts any (``*``)."""
    best, best_weight = None, 0.0
    for item in accepted.lower().split(",")[:_MAX_LANGUAGES]:
        named = _LANGUAGE_RANGE.fullmatch(item)
        weight = float(named[2] or 1) if named else 0.0
        if named and weight > best_weight:
            best, best_weight = None if named[1] == "*" else named[1], weight
    return best


def language_of(number: str) -> str:
    """The language of the region of a number (E.164): ``zh`` in the Chinese regions, ``en`` elsewhere."""
    return "zh" if number.startswith(_CHINESE_READERS) else "en"
