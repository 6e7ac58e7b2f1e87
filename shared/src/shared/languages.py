"""The language a person reads: Chinese, or English if they prefer it.

Phones name languages in many ways: ``zh-Hans-CN``, ``zh_CN_#Hans``, ``en_US.UTF-8``, ``English_United States.1252``,
``C`` or nothing. Each of them is read, and what names neither language names none.
"""

import re
import unicodedata
from functools import lru_cache

_CHINESE = "zh|zho|chi|cmn|yue|wuu|hak|nan|gan|hsn|lzh|chs|cht|zhs|zht|chinese|cn"
"""Tags of Chinese and of its branches, the names that Windows gives to it, and a country in place of a language."""
_LANGUAGE = re.compile(
    rf"""[\s"'(\[{{]*(?:((?:{_CHINESE})(?![a-z0-9])|[简簡繁]?[体體]?中文)  # Chinese,
        |((?:en|eng|enu|english)(?![a-z0-9])|英[语語文])|(\*))  # English, or any
        (?:[^;]*;(?!\s*q\s*=))*[^;]*(?:;\s*q\s*=\s*"?([0-9]*(?:[.,][0-9]*)?))?""",  # the rest of the tag, its weight
    re.VERBOSE,
)
_BETWEEN_LANGUAGES = re.compile(r",(?!\s*[0-9])")  # some clients write a weight as ``q=0,8``
_MAX_LENGTH = 1024
_MAX_LANGUAGES = 20
_CHINESE_READERS = ("+86", "+852", "+853", "+886")
"""Mainland China, Hong Kong, Macau, Taiwan."""


def language_for(accepted: str) -> str:
    """``zh`` or ``en``, as an ``Accept-Language`` header (RFC 9110) prefers; ``zh`` if it prefers neither."""
    return language_named(accepted) or "zh"


@lru_cache(maxsize=512)
def language_named(accepted: str) -> str | None:
    """``zh`` or ``en``, as a header or the locale of a phone names it.

    None if it names another language only, names none, or prefers any (``*``).
    """
    best, best_weight = None, 0.0
    for item in _BETWEEN_LANGUAGES.split(_plain(accepted[:_MAX_LENGTH]))[:_MAX_LANGUAGES]:
        named = _LANGUAGE.match(item)
        weight = _weight(named[4]) if named else 0.0
        if named and weight > best_weight:
            best, best_weight = "zh" if named[1] else "en" if named[2] else None, weight
    return best


def _plain(text: str) -> str:
    """A text in lower case, without compatibility forms such as full-width letters and without invisible characters."""
    if text.isascii():
        return text.lower()
    compatible = unicodedata.normalize("NFKC", text)
    return "".join(char for char in compatible if unicodedata.category(char) != "Cf").lower()


def _weight(text: str | None) -> float:
    """The weight ``q`` of a language, at most 1; what is no number does not count."""
    try:
        return min(float((text or "1").replace(",", ".")), 1.0)
    except ValueError:
        return 1.0


def language_of(number: str) -> str:
    """The language of the region of a number (E.164): ``zh`` in the Chinese regions, ``en`` elsewhere."""
    return "zh" if number.startswith(_CHINESE_READERS) else "en"
