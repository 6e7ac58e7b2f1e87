"""The language of a message: from the header or the locale as phones write them, or from the region of the number."""

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
        ("\x00,en;q=7", "en"),
        ("zh_CN", "zh"),
        ("zh_CN_#Hans", "zh"),
        ("zh-Hans-CN", "zh"),
        ("zh_CN.GB18030", "zh"),
        ("yue-Hant-HK", "zh"),
        ("cmn-Hans-CN", "zh"),
        ("Chinese (Simplified)_China.936", "zh"),
        ("en_US", "en"),
        ("en_US.UTF-8", "en"),
        ("en-US-u-ca-gregory", "en"),
        ("en_US_POSIX", "en"),
        ("English_United States.1252", "en"),
        (' "EN-us"', "en"),
        ("wuu-Hans-CN", "zh"),
        ("nan_TW", "zh"),
        ("hak", "zh"),
        ("zh-min-nan", "zh"),
        ("CHS", "zh"),
        ("zh-CHT", "zh"),
        ("中文", "zh"),
        ("简体中文", "zh"),
        ("繁體中文（台灣）", "zh"),
        ("ENU", "en"),
        ("English (United States)", "en"),
        ("英语", "en"),
        ('["zh-Hans-CN", "en-CN"]', "zh"),
        ("(en-US)", "en"),
        ("{zh}", "zh"),
        ("ｅｎ－ＵＳ", "en"),
        ("\ufeffen", "en"),
        ("\u200een-US", "en"),
        ("en\u2011US", "en"),
        ("C", None),
        ("C.UTF-8", None),
        ("POSIX", None),
        ("_CN", None),
        ("und", None),
        ("enm", None),
        ("zha", None),
        ("nano", None),
        ("简体", None),
        ("undefined", None),
        ("null", None),
        ("2052", None),
        ("i-default", None),
        ("q=1;en", None),
        ("zh;q=0,8,en;q=0,9", "en"),
        ("zh;q=.5, en; Q = 0.6", "en"),
        ("zh;q=0.5;x=1, en;x=1;q=0.6", "en"),
        ("en;level=1;q=0.1, zh;q=0.5", "zh"),
        ("en;q=0.1;level=1, zh;q=0.5", "zh"),
        ("zh;q=, en;q=0.9", "zh"),
        ("zh;q=0.5, en;q=high", "en"),
        ("zh;q=0.5, en;q=..", "en"),
        ("zh;q=0.123456, en;q=0.123455", "zh"),
        ("zh;q=" + "9" * 900, "zh"),
        ("; , ;;" * 900, None),
    ],
)
def test_a_header_that_prefers_none_of_our_languages_names_none(accepted: str, named: str | None) -> None:
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
def test_numbers_of_chinese_regions_get_chinese(number: str, language: str) -> None:
    assert language_of(number) == language
