"""A nickname is measured as its reader sees it."""

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.characters import count_characters, is_visible
from gateway.profiles import Motto, Nickname

FAMILY = "👨‍👩‍👧‍👦"
ENGLAND = "🏴󠁧󠁢󠁥󠁮󠁧󠁿"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Anna", 4),
        ("张三", 2),
        (FAMILY, 1),
        (FAMILY * 5, 5),
        ("👍🏽👍", 2),
        ("👩🏽‍🚀", 1),
        ("🇨🇳🇭🇰", 2),
        ("🇨🇳🇭", 2),
        (ENGLAND + "a", 2),
        ("❤️", 1),
        ("👁️‍🗨️", 1),
        ("1️⃣", 1),
        ("e\u0301é", 2),
        ("\u1112\u1161\u11ab", 1),
        ("한국", 2),
        ("नमस्ते", 4),
        ("می\u200cخواهم", 7),
        ("a\u200db", 2),
        ("\u0301a", 2),
    ],
)
def test_characters_are_counted_as_a_reader_sees_them(text: str, count: int) -> None:
    assert count_characters(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\u200b",
        "\u2800",
        "\u2800\u2800 \u2800",
        "\u00ad",
        "\u200d",
        "\u200c",
        "\ufeff",
        "\u2060\u2063",
        "\u3164",
        "\uffa0",
        "\u115f\u1160",
        "\u180e",
        "\u034f",
        "\u17b4",
        "\ufe0f",
        "\U000e0041",
        "\U000e0100",
        "\U000e0fff",
        "\u3000",
        "\u00a0",
        "\u061c",
        "\U0001d159",
        "\ufffc",
        "\ufdd0",
        "\uffff",
        "\U0001fffe",
        "\U0010ffff",
        "\u2062",
        "\u1680",
        "\u200b\u2800\u00ad\U000e0041",
    ],
    ids=ascii,
)
def test_text_without_anything_to_be_seen_is_no_nickname(text: str) -> None:
    assert not is_visible(text)
    with pytest.raises(ValidationError):
        TypeAdapter(Nickname).validate_python(text)


@pytest.mark.parametrize(
    "text", ["a", "张", FAMILY, ENGLAND, "می\u200cخواهم", "\u200bx", "्र", "🫠", "-", "\ue000", "ㅤa", "\ufffd", "\ufffcx"]
)
def test_what_a_reader_sees_is_a_nickname(text: str) -> None:
    assert is_visible(text)
    assert TypeAdapter(Nickname).validate_python(text) == text


def test_the_length_of_a_nickname_and_of_a_motto_is_bounded_in_characters_and_in_code_points() -> None:
    nickname, motto = TypeAdapter(Nickname), TypeAdapter(Motto)
    nickname.validate_python(FAMILY * 32)
    nickname.validate_python("a" * 32)
    motto.validate_python(FAMILY * 200)
    motto.validate_python("")
    for adapter, text in [
        (nickname, FAMILY * 33),
        (nickname, "a" * 33),
        (nickname, "a" + "\u0301" * 256),
        (motto, "a" * 201),
        (motto, "a" + "\u0301" * 1600),
    ]:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)
