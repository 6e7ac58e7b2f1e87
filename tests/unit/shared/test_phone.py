"""Phone numbers: every spelling becomes one E.164 number, and everything else is refused."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ErrorCode, ServiceError
from shared.phone import E164, PhoneKeys, mask, parse, ref_from_hex, ref_hex, split

KEYS = PhoneKeys(bytes(range(32)))


@pytest.mark.parametrize(
    "spelling",
    [
        "13800138000",
        "+8613800138000",
        "008613800138000",
        "+86 138 0013 8000",
        "138-0013-8000",
        "(138) 0013.8000",
        " 13800138000 ",
    ],
)
def test_all_spellings_of_a_number_are_parsed_to_the_same_number(spelling: str) -> None:
    assert parse(spelling) == "+8613800138000"


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "1380013800",
        "138001380000",
        "12800138000",
        "tel:13800138000",
        "13800138000;ext=5",
        "13800138000x5",
        "1380013800a",
        "１３８００１３８０００",
        "١٣٨٠٠١٣٨٠٠٠",
        "13800138000\n",
        "13800138000\0",
        "\t13800138000",
        "+8613800138000" + " " * 20,
        "+12025550123",
        "010 1234 5678",
        "++8613800138000",
        "+",
        "0" * 32,
    ],
)
def test_texts_that_are_not_a_served_number_are_refused(spelling: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        parse(spelling)
    assert refusal.value.code is ErrorCode.NUMBER_REFUSED


def test_other_countries_are_served_if_they_are_configured() -> None:
    assert parse("+1 202 555 0123", served={"86", "1"}) == "+12025550123"
    assert parse("2025550123", calling_code="1", served={"1"}) == "+12025550123"
    with pytest.raises(ServiceError):
        parse("13800138000", served={"1"})


@given(st.text(max_size=40))
def test_any_text_is_parsed_to_a_canonical_number_or_refused(text: str) -> None:
    try:
        number = parse(text)
    except ServiceError as refusal:
        assert refusal.code is ErrorCode.NUMBER_REFUSED
    else:
        assert number == parse(number)
        assert phonenumbers.is_possible_number(phonenumbers.parse(number))


@given(st.from_regex(r"(\+86|0086)?1[3-9][0-9]{9}", fullmatch=True))
def test_the_fast_path_agrees_with_libphonenumber(text: str) -> None:
    # With +86, because libphonenumber reads a leading 179.. of a national number as the prefix of a carrier.
    parsed = phonenumbers.parse("+86" + text[-11:])
    assert parse(text) == phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def test_a_reference_is_a_stable_signed_64_bit_integer_that_depends_on_the_key() -> None:
    number = E164("+8613800138000")
    assert KEYS.ref(number) == PhoneKeys(bytes(range(32))).ref(number)
    assert -(2**63) <= KEYS.ref(number) < 2**63
    assert KEYS.ref(number) != PhoneKeys(bytes(32)).ref(number)
    assert ref_from_hex(ref_hex(KEYS.ref(number))) == KEYS.ref(number)


def test_many_references_are_computed_like_single_ones() -> None:
    numbers = [E164(f"+86138001380{i:02d}") for i in range(100)] + [E164("+85291234567")]
    assert KEYS.refs(numbers) == [KEYS.ref(number) for number in numbers]
    assert len(set(KEYS.refs(numbers))) == len(numbers)
    assert KEYS.refs([]) == []


def test_a_reference_is_the_same_in_every_release() -> None:
    assert ref_hex(KEYS.ref(E164("+8613800138000"))) == "feb28eeee1a84c43"


def test_a_sealed_number_can_be_opened_and_reveals_nothing() -> None:
    sealed = KEYS.seal(E164("+8613800138000"))
    assert b"138" not in sealed
    assert KEYS.open(sealed) == "+8613800138000"


def test_a_mask_shows_too_little_to_call() -> None:
    assert mask(E164("+8613800138001")) == "138****8001"
    assert split(E164("+12025550123")) == ("1", "2025550123")
