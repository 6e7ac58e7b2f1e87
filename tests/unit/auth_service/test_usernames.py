"""When two spellings are the same username."""

import pytest

from auth_service.accounts.usernames import name_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("eric", "ERIC"),
        ("Straße", "STRASSE"),
        ("Ｅｒｉｃ", "eric"),
        ("é", "e\u0301"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("ﬁn", "FIN"),
        ("eric", "eric "),
        ("eric", "\u3000 eric\u00a0"),
        ("eric", "eric\u200b"),
        ("eric", "\u202eeric"),
        ("eric", "er\u00adic"),
        ("eric", "er\u2060i\ufe0fc\U000e0061"),
        ("eric", "\u3164eric\u2800"),
        ("é", "e\u200d\u0301"),
    ],
)
def test_names_that_readers_cannot_tell_apart_are_the_same(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(("one", "other"), [("eric", "erik"), ("eric", "er ic"), ("用户", "用戶")])
def test_names_with_different_letters_are_different(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_the_key_of_a_key_is_the_same_key() -> None:
    for name in ("İstanbul", "ﷺ" * 32, "ǅ", "ᾳ", "ß", "¨x", " \u200b x\u200b ", "\u115fe\u0301"):
        assert name_key(name_key(name)) == name_key(name)
