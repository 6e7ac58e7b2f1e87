"""All dialects reduce a password to the same secret, and a new password must follow the rules."""

import hashlib

import pytest

from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.phone import E164

NUMBER = E164("+8613800138000")


def digest(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_plain_text_and_its_md5_are_the_same_secret() -> None:
    assert Password.from_plain("secret123").secret == Password.from_md5(digest("secret123").upper()).secret


def test_32_hex_digits_are_an_md5_and_every_other_text_is_plain() -> None:
    assert Password.from_either(digest("x")).plain is None
    assert Password.from_either(digest("x") + "0").plain is not None


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "g" * 32, "secret123", "0" * 32 + "\n", "０" * 32])
def test_a_text_that_is_no_md5_is_an_invalid_parameter(text: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        Password.from_md5(text)
    assert refusal.value.code is ErrorCode.PARAMETER_INVALID


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("12345", ErrorCode.PASSWORD_LENGTH),
        ("x" * 129, ErrorCode.PASSWORD_LENGTH),
        ("13800138000", ErrorCode.PASSWORD_LENGTH),
        ("8613800138000", ErrorCode.PASSWORD_LENGTH),
        ("+8613800138000", ErrorCode.PASSWORD_LENGTH),
        ("008613800138000", ErrorCode.PASSWORD_LENGTH),
        ("138-0013-8000", ErrorCode.PASSWORD_LENGTH),
        ("密码（特殊）", ErrorCode.PASSWORD_CHARACTERS),
        ("tab\tinside", ErrorCode.PASSWORD_CHARACTERS),
        ("delete\x7f", ErrorCode.PASSWORD_CHARACTERS),
    ],
)
def test_a_new_password_must_follow_the_rules(text: str, code: ErrorCode) -> None:
    with pytest.raises(ServiceError) as refusal:
        Password.from_plain(text).accepted_for(NUMBER)
    assert refusal.value.code is code


@pytest.mark.parametrize("text", ["123456", "x" * 128, " ~!@#$%^&*()"])
def test_printable_ascii_of_six_to_128_characters_is_accepted(text: str) -> None:
    assert Password.from_plain(text).accepted_for(NUMBER) == digest(text)


def test_the_repr_of_a_password_does_not_contain_it() -> None:
    assert "secret123" not in repr(Password.from_plain("secret123"))


@pytest.mark.parametrize("spelling", ["13800138000", "8613800138000", "+8613800138000"])
def test_the_md5_of_the_users_own_number_is_refused(spelling: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        Password.from_md5(digest(spelling)).accepted_for(NUMBER)
    assert refusal.value.code is ErrorCode.PASSWORD_LENGTH
