"""Entries of address books: what phones and people write around a number is cut off; what is no number is skipped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts_service.address_book import read_entry
from shared.errors import ServiceError
from shared.numbers.spelling import MAX_SPELLING
from shared.phone import parse

FRIEND = "+8613800138000"


@pytest.mark.parametrize(
    "entry",
    [
        "tel:13800138000",
        "tel:+8613800138000",
        "TEL:138-0013-8000",
        "tel://13800138000",
        "tel:%2B8613800138000",
        "tel:138-0013-8000;phone-context=+86",
        "tel:0013-8000;phone-context=+86138",
        "tel:+86-138-0013-8000;isub=1411",
        "sms:+8613800138000",
        "sms:13800138000?body=hello%2012",
        "smsto:+86 138 0013 8000",
        "callto:13800138000",
        "sip:+8613800138000@ims.example.com",
        "TEL;TYPE=CELL:13800138000",
        "TEL;TYPE=CELL,VOICE;PREF=1:138 0013 8000",
        "TEL;VALUE=uri;TYPE=home:tel:+86-138-0013-8000",
        "item1.TEL;type=pref:13800138000",
    ],
)
def test_addresses_of_calls_and_cards_are_read(entry: str) -> None:
    assert read_entry(entry) == FRIEND


ENDINGS = (
    *(",1", ",,1", ";1", ";ext=12", ";12#", ";isub=1", "#", "#12", "*12", "；1", "，1"),
    *("p1", "P1", "w1", "x12", "X12", " x 12", " ext. 12", " Ext 12", " pause 3", "ｐ1", "转12", " 分机 12"),
)
ACCESS_CODES = (
    *("17951", "17951 ", "17909", "17911-", "17901", "17900", "17960", "17968", "17990", "12593", "12520", "11808"),
    *("10193", "10131", "193", "190", "17951 0", "10193 0", "17951+86", "17951 0086"),
)


@pytest.mark.parametrize("ending", ENDINGS)
def test_pauses_and_extensions_are_cut_off(ending: str) -> None:
    assert read_entry("13800138000" + ending) == FRIEND
    assert read_entry("+86 138-0013-8000" + ending) == FRIEND


@pytest.mark.parametrize("access_code", ACCESS_CODES)
def test_access_codes_of_mainland_carriers_are_cut_off(access_code: str) -> None:
    assert read_entry(access_code + "13800138000") == FRIEND
    assert read_entry(access_code + "138 0013 8000") == FRIEND


@pytest.mark.parametrize("code", ["*67", "*67 ", "#31#", "*31#", "*82 ", "*#31#", "**21*", "*72 ", "*31#*67 ", "＊67 "])
def test_star_codes_are_cut_off(code: str) -> None:
    assert read_entry(code + "13800138000") == FRIEND
    assert read_entry(code + "+86 138 0013 8000") == FRIEND


@pytest.mark.parametrize(
    "entry",
    [
        "++8613800138000",
        "86+13800138000",
        "+86+13800138000",
        "+86 86 13800138000",
        "+868613800138000",
        "+86 0086 13800138000",
        "0086 0086 13800138000",
        "0086+8613800138000",
        "00+8613800138000",
        "+0086 13800138000",
        "86 86 138 0013 8000",
        "(+86)(86)13800138000",
        "+86 (86) 0138 0013 8000",
    ],
)
def test_a_calling_code_may_be_written_twice(entry: str) -> None:
    assert read_entry(entry) == FRIEND


@pytest.mark.parametrize("exit_code", ["011", "0011", "010", "810", "8~10", "119", "00700", "002", "009"])
def test_exit_codes_of_other_countries_are_read(exit_code: str) -> None:
    assert read_entry(exit_code + "8613800138000") == FRIEND
    assert read_entry(exit_code + " 86 138 0013 8000") == FRIEND


@pytest.mark.parametrize(
    "entry",
    [
        "手机 13800138000",
        "手机:13800138000",
        "手机：138 0013 8000",
        "手机1 13800138000",
        "13800138000 (工作)",
        "13800138000（工作）",
        "(home) 138-0013-8000",
        "Mobile: +86 138 0013 8000",
        "张三13800138000",
        "13800138000张三",
        "📱13800138000",
        "☎ 13800138000",
        "13800138000 / 13900139000",
        "13800138000/13900139000",
        "13800138000、13900139000",
        "13800138000\n13900139000",
        "13800138000 13900139000",
        "010-88888888 转, 13800138000",
    ],
)
def test_a_label_or_a_second_number_beside_the_number_is_left_out(entry: str) -> None:
    assert read_entry(entry) == FRIEND


@pytest.mark.parametrize(
    "entry",
    [
        "13800138000 (2)",
        "13800138000（２）",
        "1. 138 0013 8000",
        "(3) 13800138000",
        "① 13800138000",
        "12) +86 13800138000",
        "13800138000.0",
        "8613800138000.00",
        "13800138000+",
        "1. 13800138000.0",
        "1. 手机 13800138000 (2)",
    ],
)
def test_a_place_in_a_list_and_what_exports_leave_behind_are_cut_off(entry: str) -> None:
    assert read_entry(entry) == FRIEND


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        "mother",
        "10086",
        "110",
        "95588",
        "400-800-8888",
        "1380013800",
        "138001380001",
        "138 0013 8000 1",
        "12800138000",
        "010-8888 8888",
        "021 6888 8888 转 8000",
        "1-800-MYAPPLE",
        "*#06#",
        "*100#",
        "1069013800138000",
        "110101198001011380",
        "1 13800138000",
        "13800138000 12",
        "1.13800138000.5",
        "(2)",
        "1.",
        "(".ljust(MAX_SPELLING, " "),
        "001 86 138 0013 8000",
        "+1 86 138 0013 8000",
        "1 86 138 0013 8000",
        "tel:91234567;phone-context=+852",
        "+",
        "tel:",
        "1" * 500,
        "13800138000".ljust(MAX_SPELLING + 1),
        "手机".ljust(MAX_SPELLING) + "13800138000",
    ],
)
def test_what_is_no_mobile_number_is_skipped(entry: str) -> None:
    assert read_entry(entry) is None


@pytest.mark.parametrize(
    "entry",
    [
        "9123 4567",
        "91234567",
        "85291234567",
        "+852 9123 4567",
        "00852-9123-4567",
        " 85291234567",
        "tel:9123-4567",
        "手机 9123 4567",
        "91234567,1",
        "+852 852 9123 4567",
        "011 852 9123 4567",
        "９１２３４５６７",
    ],
)
def test_national_spelling_is_that_of_the_callers_own_country(entry: str) -> None:
    assert read_entry(entry, "852", {"86", "852"}) == "+85291234567"


def test_a_caller_abroad_reads_mainland_numbers_with_their_country_only() -> None:
    for entry in ("+86 138 0013 8000", "0086 13800138000", "8613800138000", "001 86 13800138000", "+86 86 13800138000"):
        assert read_entry(entry, "852", {"86", "852"}) == FRIEND
    assert read_entry("13800138000", "852", {"86", "852"}) is None


@pytest.mark.parametrize(
    "entry", ["12025550123", "1 202 555 0123", "手机 12025550123", "85291234567", "tel:85291234567"]
)
def test_a_number_of_another_country_needs_a_plus_sign_or_an_exit_code(entry: str) -> None:
    assert read_entry(entry, "86", {"86", "1", "852"}) is None
    assert read_entry("手机 +" + entry.removeprefix("手机 ").removeprefix("tel:"), "86", {"86", "1", "852"})
    assert read_entry("手机 011" + entry.removeprefix("手机 ").removeprefix("tel:"), "86", {"86", "1", "852"})


def test_a_phone_context_names_the_country_of_the_number_before_it() -> None:
    served = {"86", "852"}
    assert read_entry("tel:9123-4567;phone-context=+852", "86", served) == "+85291234567"
    assert read_entry("tel:13800138000;phone-context=+86", "852", served) == FRIEND
    assert read_entry("tel:13800138000;phone-context=example.com", "86", served) == FRIEND


@given(st.text("0123456789+-(). 手x,;#*\u200e１٣", max_size=36) | st.text(max_size=60))
def test_what_parse_accepts_is_read_the_same_and_no_text_breaks_the_reader(text: str) -> None:
    try:
        number = parse(text)
    except ServiceError:
        read = read_entry(text)
        assert read is None or parse(read) == read
    else:
        assert read_entry(text) == number
