"""Numbers beside the code of a country, as ``tel`` and ``phone_info`` have them."""

import phonenumbers
import pytest

from gateway.flows.numbers import NumberFlows
from gateway.flows.sealed_number import NumberSeal
from shared.errors import ErrorCode, ServiceError
from shared.keys import KeyRing

WORLD = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


def read(number: str, country: str, served: frozenset[str] = WORLD) -> str:
    return NumberFlows(NumberSeal(KeyRing.parse("1:" + "a1" * 32)), served).parse(number, country)


@pytest.mark.parametrize(
    ("country", "number", "expected"),
    [
        ("1242", "3591234", "+12423591234"),
        ("1242", "359-1234", "+12423591234"),
        ("1242", "(242) 359-1234", "+12423591234"),
        ("1242", "+1 242 359 1234", "+12423591234"),
        ("441481", "07781 100000", "+447781100000"),
        ("5999", "5181234", "+59995181234"),
        ("1", "2423591234", "+12423591234"),
        ("86", "13800138000", "+8613800138000"),
    ],
)
def test_a_country_may_be_a_calling_code_with_an_area_code_behind_it(country: str, number: str, expected: str) -> None:
    assert read(number, country) == expected


@pytest.mark.parametrize("country", ["86086", "861", "1242", "999"])
@pytest.mark.parametrize("served", [frozenset({"86"}), WORLD])
def test_a_code_that_is_of_no_country_reads_no_national_number(country: str, served: frozenset[str]) -> None:
    with pytest.raises(ServiceError) as refusal:
        read("13800138000", country, served)
    assert refusal.value.code is ErrorCode.NUMBER_REFUSED
