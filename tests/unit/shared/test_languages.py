"""Which language a person is written to in: what he asks for, and what is read where his number is from."""

import pytest

from shared.languages import language_for, language_named, language_of


@pytest.mark.parametrize(
    ("accepted", "named"),
    [
        ("zh-Hant-HK, en;q=0.9", "zh"),
        ("en", "en"),
        ("fr, en;q=0.1", "en"),
        ("zh;q=0.1, *;q=0.5", None),
        ("*", None),
        ("fr", None),
        ("en;q=0, zh;q=0", None),
        ("", None),
        ("\x00,en;q=7", None),
    ],
)
def test_who_asks_for_none_of_our_languages_or_for_any_has_named_none(accepted: str, named: str | None) -> None:
    assert language_named(accepted) == named
    assert language_for(accepted) == (named or "zh")


@pytest.mark.parametrize(
    ("number", "language"),
    [
        ("+8613800138000", "zh"),
        ("+85261234567", "zh"),
        ("+85366123456", "zh"),
        ("+886912345678", "zh"),
        ("+6581234567", "en"),
        ("+85512345678", "en"),
        ("+818012345678", "en"),
        ("+8801812345678", "en"),
        ("+12025550123", "en"),
    ],
)
def test_chinese_is_read_in_the_chinese_regions(number: str, language: str) -> None:
    assert language_of(number) == language
