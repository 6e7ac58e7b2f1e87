"""All dialects reduce a password to the same secret, and a new password must follow the rules."""

import hashlib

import pytest

from gateway.passwords import CommonPasswordError, Password, load_common_secrets
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import MAX_PLAIN_LENGTH
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
        (" 13800138000", ErrorCode.PASSWORD_LENGTH),
        ("+86 138 0013 8000", ErrorCode.PASSWORD_LENGTH),
        ("密码（特殊）", ErrorCode.PASSWORD_CHARACTERS),
        ("tab\tinside", ErrorCode.PASSWORD_CHARACTERS),
        ("delete\x7f", ErrorCode.PASSWORD_CHARACTERS),
    ],
)
def test_a_new_password_must_follow_the_rules(text: str, code: ErrorCode) -> None:
    with pytest.raises(ServiceError) as refusal:
        Password.from_plain(text).accepted_for(NUMBER, ())
    assert refusal.value.code is code


@pytest.mark.parametrize("text", ["123456", "x" * 128, " ~!@#$%^&*()"])
def test_printable_ascii_of_six_to_128_characters_is_accepted(text: str) -> None:
    assert Password.from_plain(text).accepted_for(NUMBER, ()) == digest(text)


def test_the_repr_of_a_password_does_not_contain_it() -> None:
    assert "secret123" not in repr(Password.from_plain("secret123"))


@pytest.mark.parametrize("spelling", ["13800138000", "8613800138000", "+8613800138000", "008613800138000"])
def test_the_md5_of_the_users_own_number_is_refused(spelling: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        Password.from_md5(digest(spelling)).accepted_for(NUMBER, ())
    assert refusal.value.code is ErrorCode.PASSWORD_LENGTH


COMMON = load_common_secrets()


@pytest.mark.parametrize("text", ["123456", "password", "5201314", "a123456", "qwertyuiop", "1234567890"])
def test_a_common_password_is_refused_in_plain_text_and_as_md5(text: str) -> None:
    for password in (Password.from_plain(text), Password.from_md5(digest(text)), Password.from_either(digest(text))):
        with pytest.raises(CommonPasswordError) as refusal:
            password.accepted_for(NUMBER, COMMON)
        assert (refusal.value.code, refusal.value.field) == (ErrorCode.PASSWORD_LENGTH, "password")


def test_the_md5_of_a_common_password_that_is_too_short_as_plain_text_is_refused() -> None:
    for text in ("1", "1234", "12345", "qwert"):
        with pytest.raises(CommonPasswordError):
            Password.from_md5(digest(text)).accepted_for(NUMBER, COMMON)


def test_a_password_that_is_not_common_is_accepted() -> None:
    assert Password.from_plain("correct horse").accepted_for(NUMBER, COMMON) == digest("correct horse")


def test_the_list_has_the_ten_thousand_most_common_passwords() -> None:
    assert len(COMMON) >= 10_000


def test_plain_text_goes_along_to_auth_service_unless_it_is_too_long_or_the_client_sent_an_md5() -> None:
    assert Password.from_plain("correct horse").plain_to_send == "correct horse"
    assert Password.from_plain("x" * MAX_PLAIN_LENGTH).plain_to_send == "x" * MAX_PLAIN_LENGTH
    assert Password.from_plain("x" * (MAX_PLAIN_LENGTH + 1)).plain_to_send is None
    assert Password.from_md5("0" * 32).plain_to_send is None
