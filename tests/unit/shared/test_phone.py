"""Phone numbers: every spelling becomes one E.164 number, and everything else is refused."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ErrorCode, ServiceError
from shared.phone import E164, PhoneKeys, mask, parse, parse_any, ref_from_hex, ref_hex, split

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
        "8613800138000",
        "86 138 0013 8000",
        "+0086 13800138000",
        "013800138000",
        "+86 (0) 138 0013 8000",
        "+ 86 1 3 8 0 0 1 3 8 0 0 0      ",
        "17951 138 0013 8000",
        "10193 138 0013 8000",
        "17951 0086 13800138000",
        "17951 86 13800138000",
        "125831 13800138000",
        "12583 2 138 0013 8000",
        "１３８００１３８０００",
        "١٣٨٠٠١٣٨٠٠٠",
        "＋８６１３８００１３８０００",
        "13800138000\n",
        "13800138000\0",
        "\t13800138000",
        "\u202a+86\xa0138–0013–8000\u202c",
        "138_0013_8000",
        "[138]0013~8000",
        "138·0013·8000",
        "+8613800138000" + " " * 100,
        " 8613800138000",
    ],
)
def test_all_spellings_of_a_number_are_parsed_to_the_same_number(spelling: str) -> None:
    assert parse(spelling) == "+8613800138000"


@pytest.mark.parametrize("prefix", range(130, 200))
def test_every_range_of_mainland_mobile_numbers_is_read_also_one_that_is_not_assigned_yet(prefix: int) -> None:
    assert parse(f"{prefix} 0013 8000") == f"+86{prefix}00138000"


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
        "ext 13800138000",
        "手机13800138000",
        "13800138000转1",
        "13800138000#",
        "13800138000,1",
        "*67 13800138000",
        "+86 86 13800138000",
        "011 86 13800138000",
        "1069013800138000",
        "13800138000½",
        "00000000000013800138000",
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


EVERYWHERE = {str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE}


@pytest.mark.parametrize(
    ("spelling", "calling_code", "number"),
    [
        ("+852 9123 4567", "86", "+85291234567"),
        ("00852-9123-4567", "86", "+85291234567"),
        ("+852 9100 0045", "86", "+85291000045"),
        ("9100 0045", "852", "+85291000045"),
        ("9123 4567", "852", "+85291234567"),
        ("85291234567", "852", "+85291234567"),
        ("8613800138000", "852", "+8613800138000"),
        ("001 86 138 0013 8000", "852", "+8613800138000"),
        ("+44 (0)7400 123456", "86", "+447400123456"),
        ("07400 123456", "44", "+447400123456"),
        ("+39 312 345 6789", "86", "+393123456789"),
        ("+242 06 123 4567", "86", "+242061234567"),
        ("+886 0912 345 678", "86", "+886912345678"),
        ("+7 912 345 67 89", "86", "+79123456789"),
        ("8 912 345-67-89", "7", "+79123456789"),
        ("+225 07 01 23 45 67", "86", "+2250701234567"),
    ],
)
def test_a_mobile_number_of_any_served_country_is_read(spelling: str, calling_code: str, number: str) -> None:
    assert parse(spelling, calling_code=calling_code, served=EVERYWHERE) == number


@pytest.mark.parametrize(
    "spelling",
    [
        "+85221234567",  # a fixed line in Hong Kong
        "+85211234567",  # not assigned
        "+18005551234",  # toll-free
        "+19005551234",  # premium rate
        "+448081570000",  # toll-free
        "+448431234567",  # shared cost
        "+447640123456",  # a pager
        "+447012345678",  # a personal number
        "+445612345678",  # VoIP
        "+442071838750",  # a fixed line
        "+390312345678",  # a fixed line: mobile numbers lost their zero
        "+39 0312 345 6789",
        "+49 30 901820",
        "+33 1 23 45 67 89",
        "+81 3 1234 5678",
        "+800 1234 5678",
    ],
)
def test_a_number_that_cannot_be_a_mobile_is_refused(spelling: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        parse(spelling, served=EVERYWHERE)
    assert refusal.value.code is ErrorCode.NUMBER_REFUSED


@pytest.mark.parametrize(
    ("old", "present"),
    [
        ("+52 1 55 1234 5678", "+525512345678"),
        ("+54 11 2345 6789", "+5491123456789"),
        ("+54 351 234 5678", "+5493512345678"),
        ("+54 9 11 15 2345 6789", "+5491123456789"),
        ("+54 9 223 15 412 3456", "+5492234123456"),
        ("+54 9 2966 15 412345", "+5492966412345"),
        ("+55 61 9812-3456", "+5561998123456"),
        ("+55 11 8765-4321", "+5511987654321"),
        ("+229 90 01 12 34", "+2290190011234"),
        ("+225 07 01 23 45", "+2250707012345"),
        ("+225 01 01 23 45", "+2250101012345"),
        ("+225 05 01 23 45", "+2250505012345"),
        ("+225 48 01 23 45", "+2250748012345"),
        ("+84 120 123 4567", "+84701234567"),
        ("+84 121 123 4567", "+84791234567"),
        ("+84 123 123 4567", "+84831234567"),
        ("+84 129 123 4567", "+84821234567"),
        ("+84 169 123 4567", "+84391234567"),
        ("+84 188 123 4567", "+84581234567"),
        ("+237 7012 3456", "+237670123456"),
        ("+241 07 12 34 56", "+24177123456"),
        ("+241 6 12 34 56", "+24166123456"),
        ("+593 9812 3456", "+593998123456"),
        ("+230 712 3456", "+23057123456"),
        ("+20 12 1234567", "+201221234567"),
    ],
)
def test_an_old_form_of_a_changed_numbering_plan_is_the_present_number(old: str, present: str) -> None:
    assert parse(old, served=EVERYWHERE) == present
    assert parse(present, served=EVERYWHERE) == present


def test_old_national_forms_are_read_too() -> None:
    assert parse("044 55 1234 5678", calling_code="52", served={"52"}) == "+525512345678"
    assert parse("011 15 2345 6789", calling_code="54", served={"54"}) == "+5491123456789"


@pytest.mark.parametrize("spelling", [" 85291234567", " 852 9123 4567", " 447400123456"])
def test_a_space_in_front_is_the_plus_sign_that_a_query_string_lost(spelling: str) -> None:
    assert parse(spelling, served={"86", "852", "44"}) == "+" + spelling.replace(" ", "")
    with pytest.raises(ServiceError):
        parse(spelling.lstrip(), served={"86", "852", "44"})


def test_a_space_in_front_is_padding_where_the_number_is_read_without_a_plus_sign() -> None:
    assert parse(" 13802345678", served={"86", "1"}) == "+8613802345678"
    assert parse("+1 380 234 5678", served={"86", "1"}) == "+13802345678"


def test_an_operator_may_ask_about_any_country() -> None:
    assert parse_any("138 0013 8000") == "+8613800138000"
    assert parse_any(" 85291234567") == parse_any("+852 9123 4567") == "+85291234567"
    with pytest.raises(ServiceError):
        parse_any("9123 4567")


@given(st.sampled_from(sorted(EVERYWHERE)), st.from_regex("[0-9]{5,13}", fullmatch=True))
def test_what_is_read_abroad_is_canonical_and_a_mobile_number(code: str, national: str) -> None:
    try:
        number = parse(f"+{code} {national}", served=EVERYWHERE)
    except ServiceError:
        return
    assert parse(number, served=EVERYWHERE) == number
    if not number.startswith("+86"):
        assert phonenumbers.is_valid_number(phonenumbers.parse(number))


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


def test_a_mask_shows_too_little_to_call() -> None:
    assert mask(E164("+8613800138001")) == "138****8001"
    assert split(E164("+12025550123")) == ("1", "2025550123")
