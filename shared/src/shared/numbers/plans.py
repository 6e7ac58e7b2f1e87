"""Mobile numbers outside the mainland, also in the old forms of numbering plans that have changed.

This module imports libphonenumber, 15 MiB, so import it only where such a number has to be read.
"""

import re

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
    format_number,
    national_significant_number,
    number_type,
    parse,
    region_code_for_country_code,
)

_MOBILE_TYPES = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
"""Not personal numbers (UK 070), which forward at the sender's expense, nor VoIP, which mostly receives no SMS."""

_ARGENTINA, _GABON = 54, 241
_STILL_VALID = frozenset({_ARGENTINA, _GABON})
"""Countries whose old forms are valid for libphonenumber. Elsewhere only numbers unknown to it are changed."""

_VIETNAM = {
    "12": dict(zip("0123456789", ["70", "79", "77", "83", "84", "85", "76", "81", "78", "82"], strict=True)),
    "16": {digit: f"3{digit}" for digit in "23456789"},
    "18": {"6": "56", "8": "58"},
    "19": {"9": "59"},
}
_CHANGES = {
    20: [("1([069])(.{7})", r"10\1\2"), ("1([278])(.{7})", r"12\1\2"), ("1([14])(.{7})", r"11\1\2")],
    52: [("(?:0?1|04[45])(.{10})", r"\1")],
    _ARGENTINA: [("([1-368].{9})", r"9\1"), ("9(.{12})", r"0\1")],
    55: [("([1-9][1-9])([689].{7})", r"\g<1>9\2")],
    84: [(f"{old}{last}(.{{7}})", rf"{new}\1") for old, by_last in _VIETNAM.items() for last, new in by_last.items()],
    225: [("([04-9][0-3].{6})", r"01\1"), ("([04-9][4-6].{6})", r"05\1"), ("([04-9][7-9].{6})", r"07\1")],
    229: [("(.{8})", r"01\1")],
    230: [("(.{7})", r"5\1")],
    237: [("(.{8})", r"6\1")],
    _GABON: [("0?([256].{6})", r"6\1"), ("0?([47].{6})", r"7\1")],
    593: [("(.{8})", r"9\1")],
}
"""National digits before and after a change, by calling code.

Egypt (2011), Mexico (the 1 after +52, 2019), Argentina (the 9 of mobiles, and the 15 of national calls beside it,
which libphonenumber reads behind a 0), Brazil (the ninth digit, 2016), Vietnam
(2018), Côte d'Ivoire (2021), Benin (2024), Mauritius (2013), Cameroon (2014), Gabon (2019), Ecuador (2012).
"""
_CALLING_CODES = frozenset(map(str, COUNTRY_CODE_TO_REGION_CODE))
_COMPILED = {code: [(re.compile(old), new) for old, new in changes] for code, changes in _CHANGES.items()}


def read_mobile(digits: str, calling_code: str) -> tuple[str, str] | None:
    """The calling code and E.164 of a mobile number, or ``None``. ``digits`` may begin with a plus sign.

    Without one they are a national number of the country ``calling_code``.
    """
    mobile = _plain_mobile(digits, calling_code) or _parsed_mobile(digits, calling_code)
    return None if mobile is None else (str(mobile.country_code), format_number(mobile, PhoneNumberFormat.E164))


def calling_code_of(digits: str) -> str | None:
    """The calling code that a number begins with, without its plus sign. None is the beginning of another."""
    return next((digits[:length] for length in (1, 2, 3) if digits[:length] in _CALLING_CODES), None)


def _plain_mobile(digits: str, calling_code: str) -> PhoneNumber | None:
    """A mobile number without any prefix, in half the time that libphonenumber takes to parse it."""
    code = calling_code_of(digits[1:]) if digits.startswith("+") else calling_code
    if code is None or int(code) in _STILL_VALID:
        return None
    national = digits[1 + len(code) :] if digits.startswith("+") else digits
    if not national or national.startswith("0"):
        return None
    number = PhoneNumber(country_code=int(code), national_number=int(national))
    return number if number_type(number) in _MOBILE_TYPES else None


def _parsed_mobile(digits: str, calling_code: str) -> PhoneNumber | None:
    try:
        return _present_mobile(parse(digits, region_code_for_country_code(int(calling_code))))
    except NumberParseException:
        return None


def _present_mobile(number: PhoneNumber) -> PhoneNumber | None:
    kind = number_type(number)
    if kind == PhoneNumberType.UNKNOWN or number.country_code in _STILL_VALID:
        changed = _changed(number)
        if changed is not None and number_type(changed) in _MOBILE_TYPES:
            return changed
    return number if kind in _MOBILE_TYPES else None


def _changed(number: PhoneNumber) -> PhoneNumber | None:
    national = national_significant_number(number)
    for old, new in _COMPILED.get(number.country_code or 0, ()):
        if found := old.fullmatch(national):
            return parse(f"+{number.country_code}{found.expand(new)}")
    return None
