"""How many segments a text takes: the alphabets of GSM 03.38, and where a text overflows."""

import random

import pytest
from aiosmpplib.codec import GSM_BASIC_ENCODE_MAP, GSM_EXTENDED_ENCODE_MAP

from sms_service.messages.segments import GSM_7, GSM_BASIC, GSM_EXTENDED, UCS_2, encoding, segments, units


def test_the_default_alphabet_is_complete_and_in_the_order_of_its_codes() -> None:
    with_escape = GSM_BASIC[:0x1B] + "\x1b" + GSM_BASIC[0x1B:]
    assert len(set(with_escape)) == len(with_escape) == 128
    known = {
        0x00: "@",
        0x02: "$",
        0x0A: "\n",
        0x10: "Δ",
        0x11: "_",
        0x1F: "É",
        0x24: "¤",
        0x40: "¡",
        0x60: "¿",
        0x7F: "à",
    }
    assert {place: with_escape[place] for place in known} == known
    plain = {c for c in map(chr, range(0x20, 0x7F)) if c not in "$@`_" + GSM_EXTENDED}
    assert {c for c in plain if with_escape.index(c) != ord(c)} == set()


def test_the_alphabets_equal_those_of_the_smpp_library() -> None:
    assert {character for character in GSM_BASIC_ENCODE_MAP if character != "\x1b"} == set(GSM_BASIC)
    assert set(GSM_EXTENDED_ENCODE_MAP) == set(GSM_EXTENDED)


@pytest.mark.parametrize("character", GSM_BASIC)
def test_a_character_of_the_default_alphabet_is_one_septet(character: str) -> None:
    assert (encoding(character), units(character)) == (GSM_7, 1)
    assert [segments(character * n) for n in (1, 160, 161, 306, 307, 459, 460)] == [1, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("character", "\f^{}\\[~]|€")
def test_a_character_of_the_extension_table_is_two_septets(character: str) -> None:
    assert (encoding(character), units(character)) == (GSM_7, 2)
    assert [segments(character * n) for n in (1, 80, 81, 152, 153)] == [1, 1, 2, 2, 3]  # 76 of them in a part of 153


@pytest.mark.parametrize("character", "`ç中【…’\t\x1b")
def test_any_other_character_makes_the_whole_text_ucs_2(character: str) -> None:
    assert encoding("a" + character) is UCS_2
    assert [segments("a" * n + character) for n in (69, 70, 133, 134, 200, 201)] == [1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("a" * 158 + "€", 1),
        ("a" * 159 + "€", 2),
        ("a" * 152 + "€" + "b" * 151, 2),
        ("a" * 152 + "€" + "b" * 152, 3),  # 306 septets, but the escape pair does not fit behind the 152
        ("a" * 151 + "€" + "b" * 153, 2),
        ("中" * 68 + "😀", 1),
        ("中" * 69 + "😀", 2),
        ("中" * 66 + "😀" + "中" * 65, 2),
        ("中" * 66 + "😀" + "中" * 66, 3),  # 134 units, but the surrogate pair does not fit behind the 66
        ("中" * 65 + "😀" + "中" * 67, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_a_character_two_units_wide_is_not_split(text: str, expected: int) -> None:
    assert segments(text) == expected


@pytest.mark.parametrize("seed", range(200))
def test_any_text_can_be_cut_into_that_many_parts_and_joined_again(seed: int) -> None:
    chance = random.Random(seed)
    letters = [GSM_BASIC + GSM_EXTENDED * 3, "中文a€", "😀中b"][seed % 3]
    text = "".join(chance.choices(letters, k=chance.randrange(400)))

    cut = _cut(text)

    assert "".join(cut) == text
    assert segments(text) == len(cut)
    assert all(_length(part, encoding(text) is GSM_7) <= encoding(text).part for part in cut) or len(cut) == 1


def _cut(text: str) -> list[str]:
    """The parts of a text by their bytes, computed in another way than the tested code does."""
    gsm = encoding(text) is GSM_7
    if _length(text, gsm) <= (160 if gsm else 70):
        return [text]
    parts: list[str] = []
    while text:
        most = max(n for n in range(1, len(text) + 1) if _length(text[:n], gsm) <= (153 if gsm else 67))
        parts, text = [*parts, text[:most]], text[most:]
    return parts


def _length(text: str, gsm: bool) -> int:
    if gsm:
        return len("".join("\x1b" + c if c in GSM_EXTENDED else c for c in text))
    return len(text.encode("utf-16-be")) // 2
