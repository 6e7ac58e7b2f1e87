"""Which of our languages a person reads: Chinese, or English when they like it better."""

import re

_LIKING = re.compile(r"\s*(zh|en|\*)(?:-[a-z0-9-]*)?\s*(?:;\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")
_MOST_LANGUAGES = 20


def language_for(accepted: str) -> str:
    """``zh`` or ``en``, whichever an ``Accept-Language`` header (RFC 9110) likes best; ``zh`` when it likes neither."""
    best, liking = "zh", 0.0
    for item in accepted.lower().split(",")[:_MOST_LANGUAGES]:
        named = _LIKING.fullmatch(item)
        weight = float(named[2] or 1) if named else 0.0
        if named and weight > liking:
            best, liking = named[1].replace("*", "zh"), weight
    return best
