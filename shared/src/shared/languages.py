"""Which of our languages a person reads: Chinese, or English when they like it better."""

import re

_LIKING = re.compile(r"\s*(zh|en|\*)(?:-[a-z0-9-]*)?\s*(?:;\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")
_MAX_LANGUAGES = 20
_CHINESE_READERS = ("+86", "+852", "+853", "+886")
"""Mainland China, Hong Kong, Macau, Taiwan."""


def language_for(accepted: str) -> str:
    """``zh`` or ``en``, whichever an ``Accept-Language`` header (RFC 9110) likes best; ``zh`` when it likes neither."""
    return language_named(accepted) or "zh"


def language_named(accepted: str) -> str | None:
    """As ``language_for``, but None when the header likes neither best or takes anything (``*``)."""
    best, liking = None, 0.0
    for item in accepted.lower().split(",")[:_MAX_LANGUAGES]:
        named = _LIKING.fullmatch(item)
        weight = float(named[2] or 1) if named else 0.0
        if named and weight > liking:
            best, liking = None if named[1] == "*" else named[1], weight
    return best


def language_of(number: str) -> str:
    """What is read where a number (E.164) is from: ``zh`` in the Chinese regions, ``en`` everywhere else."""
    return "zh" if number.startswith(_CHINESE_READERS) else "en"
