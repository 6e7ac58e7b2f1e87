"""When two login names are one."""

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
def test_case_and_form_make_no_other_name(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(("one", "other"), [("eric", "erik"), ("eric", "eric "), ("用户", "用戶")])
def test_other_letters_do(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_the_key_of_the_key_is_the_key() -> None:
    for name in ("İstanbul", "ﷺ" * 32, "ǅ", "ᾳ", "ß"):
        assert name_key(name_key(name)) == name_key(name)
