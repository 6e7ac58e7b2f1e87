"""Cleaning: every spelling of the same digits becomes the same text."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.numbers.spelling import ASCII_DROPPED, MAX_SPELLING, clean, clean_character, text_of

SEPARATORS = (
    " \t\n\r\v\f\0\x7f\x85\xa0\u1680\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "-\xad\u058a\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u207b\ufe58\ufe63\uff0d\u30fc\u2500"
    "./\\_~\u00b7\u2022\u2027\u2219\u22c5\u30fb\uff0e\uff65\uff0f\uff3f\uff5e\u301c\u2044"
    "\u06d4\u16eb\u0701\u1362\u166e\u1803\ua4ff\ua78f\u02f7\u00af\uffe3\u02c9\u203e\ufe49\u2e4a\u2e02\u2e03"
    "()[]{}<>\uff08\uff09\u3010\u3011\u300c\u300d\uff3b\uff3d\u27e8\u27e9"
)
INVISIBLE = (
    "\u061c\u034f\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069"
    "\ufeff\ufe0e\ufe0f\u20e3\u3164\ufffc\U000e0001\U000e0061\U000e0100"
)


@pytest.mark.parametrize("dropped", SEPARATORS + INVISIBLE, ids=ascii)
def test_separators_and_invisible_characters_are_dropped(dropped: str) -> None:
    assert clean(f"{dropped}+86{dropped}138{dropped}{dropped}0{dropped}") == "+861380"


@pytest.mark.parametrize(
    "digits",
    [
        "０１２３４５６７８９",
        "٠١٢٣٤٥٦٧٨٩",
        "۰۱۲۳۴۵۶۷۸۹",
        "०१२३४५६७८९",
        "০১২৩৪৫৬৭৮৯",
        "๐๑๒๓๔๕๖๗๘๙",
        "᠐᠑᠒᠓᠔᠕᠖᠗᠘᠙",
        "༠༡༢༣༤༥༦༧༨༩",
        "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
        "⁰¹²³⁴⁵⁶⁷⁸⁹",
        "₀₁₂₃₄₅₆₇₈₉",
        "⓪①②③④⑤⑥⑦⑧⑨",
        "0️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣8️⃣9️⃣",
    ],
)
def test_digits_of_every_script_and_form_are_ascii_digits(digits: str) -> None:
    assert clean(digits) == "0123456789"


def test_every_decimal_digit_that_unicode_has_is_read() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        value = unicodedata.decimal(character, None)
        if value is not None:
            assert clean(character) == str(value)


@pytest.mark.parametrize("plus", "+＋﹢⁺₊➕")
def test_every_plus_sign_is_one(plus: str) -> None:
    assert clean(plus + "86") == "+86"


@pytest.mark.parametrize("kept", ["a", "é", "手", "½", "#", "*", ",", ";", ":", "'", "@", "?", "=", "&", "三", "℡"])
def test_what_is_neither_stays_for_the_caller_to_refuse(kept: str) -> None:
    assert not clean(f"13800{kept}138000").isdecimal()


def test_padding_is_dropped_and_abuse_is_cleaned_to_nothing() -> None:
    assert clean("013800".center(MAX_SPELLING)) == "013800"
    assert clean("013800".center(MAX_SPELLING + 1)) == ""


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_the_fast_path_for_ascii_agrees_with_cleaning_each_character(text: str) -> None:
    assert clean(text) == "".join(map(clean_character, text))
    assert clean(text).encode() == text.encode().translate(None, ASCII_DROPPED)


def test_a_json_number_is_read_as_its_digits_if_it_is_whole() -> None:
    assert text_of("138 0013 8000") == "138 0013 8000"
    assert text_of(13800138000) == text_of(13800138000.0) == text_of(1.3800138e10) == "13800138000"
    for other in (None, True, False, -13800138000, 1.5, float("inf"), float("nan"), 10**20, ["1"], {"a": 1}):
        assert text_of(other) == ""
