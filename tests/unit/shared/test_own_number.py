"""A password that is the user's own number is recognised in every spelling of it."""

import hashlib

import pytest

from shared.passwords.own_number import is_own_number
from shared.phone import E164

MAINLAND, HONG_KONG, NORTH_AMERICA = E164("+8613507387386"), E164("+85251234567"), E164("+13122791234")


def digest(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((MAINLAND, f"{prefix}{digits}") for prefix in ("", "+86", "+86 ", "0086", "86", "0", " ", "(+86)", "17951")
          for digits in ("13507387386", "135-0738-7386", "135 0738 7386")),
        *((HONG_KONG, text) for text in ("51234567", "5123 4567", "852 5123 4567", "00852-51234567", "+85251234567")),
        *((NORTH_AMERICA, text) for text in ("3122791234", "(312) 279-1234", "1-312-279-1234", "0013122791234")),
    ],
)  # fmt: skip
def test_plain_text_is_the_number_in_any_spelling(number: E164, text: str) -> None:
    assert is_own_number(digest(text), text, number)


@pytest.mark.parametrize("text", ["13507387386", "8613507387386", "+8613507387386", "008613507387386"])
def test_an_md5_is_the_number_in_its_likely_spellings(text: str) -> None:
    assert is_own_number(digest(text), None, MAINLAND)


@pytest.mark.parametrize("text", ["13507387387", "correct horse", "13507387386x", "+13507387386", "123456", "+", "   "])
def test_other_texts_are_not_the_number(text: str) -> None:
    assert not is_own_number(digest(text), text, MAINLAND)
    assert not is_own_number(digest(text), None, MAINLAND)
