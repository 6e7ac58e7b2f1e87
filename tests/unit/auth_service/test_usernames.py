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
    ],
)
def test_names_that_differ_in_case_or_form_only_are_the_same(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(("one", "other"), [("eric", "erik"), ("eric", "eric "), ("用户", "用戶")])
def test_names_with_different_letters_are_different(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_the_key_of_a_key_is_the_same_key() -> None:
    for name in ("İstanbul", "ﷺ" * 32, "ǅ", "ᾳ", "ß"):
        assert name_key(name_key(name)) == name_key(name)
