"""Prefixes, prices and costs: whole micros, the longest prefix, every budget of a number."""

import phonenumbers
import pytest

from shared.phone import E164
from sms_service.spending.money import Budget, MessageCost, Tariff, format_micros, micros
from sms_service.spending.prefixes import NumberPrefixes, calling_code, prefixes_of

MAINLAND = E164("+8613800138000")


@pytest.mark.parametrize(
    ("number", "prefixes"),
    [
        ("+8613800138000", NumberPrefixes("+861380013", "+86138", "+86")),
        ("+14155550100", NumberPrefixes("+1415555", "+1415", "+1")),
        ("+86138001380001", NumberPrefixes("+861380013", "+86138", "+86")),
        ("+141555501001", NumberPrefixes("+1415555", "+1415", "+1")),
        ("+85261234567", NumberPrefixes("+8526123", "+852612", "+852")),
        ("+4915112345678", NumberPrefixes("+491511", "+49151", "+49")),
        ("+79161234567", NumberPrefixes("+79161", "+7916", "+7")),
        ("+68320123", NumberPrefixes("+6832", "+6832", "+683")),
        ("+6834000", NumberPrefixes("+683", "+683", "+683")),
    ],
)
def test_a_number_has_a_range_in_a_network_in_a_country(number: str, prefixes: NumberPrefixes) -> None:
    assert prefixes_of(E164(number)) == prefixes
    assert number.startswith(prefixes.range)
    assert prefixes.range.startswith(prefixes.network)
    assert prefixes.network.startswith(prefixes.country)
    assert len(number) - len(prefixes.range) >= 4  # people see ranges, but never a number


def test_calling_codes_are_those_of_libphonenumber() -> None:
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        assert calling_code(f"+{code}{'5' * 9}") == str(code)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0.045", 45_000),
        ("1", 1_000_000),
        ("0", 0),
        ("0.000001", 1),
        ("12.5", 12_500_000),
        ("999999999", 999_999_999_000_000),
    ],
)
def test_an_amount_is_whole_micros(amount: str, expected: int) -> None:
    assert micros(amount) == expected


@pytest.mark.parametrize(
    "amount", ["", "-1", "1,5", "1.", ".5", "0.0000001", "1e3", " 1", "1 ", "１", "1000000000", "NaN"]
)
def test_text_that_is_no_plain_amount_is_an_error(amount: str) -> None:
    with pytest.raises(ValueError, match=r"expected an amount such as"):
        micros(amount)


def test_the_longest_prefix_sets_the_price_of_each_segment() -> None:
    tariff = Tariff({"one": {"+": 9, "+86": 5, "+86138": 3}, "two": {"+1": 1}})
    assert [tariff.price("one", number) for number in (MAINLAND, "+8613900000000", "+14155550100")] == [3, 5, 9]
    assert tariff.price("two", MAINLAND) == 0
    assert tariff.cost("one", MAINLAND, 2).micros == 6


def test_every_budget_of_a_number_pays_for_its_message() -> None:
    budgets = [Budget("+86", 5), Budget("+", day=9), Budget("+1", 1), Budget("+861380013", 1, 2)]
    cost = Tariff({"one": {"+": 1}}, budgets).cost("one", MAINLAND, 1)
    assert cost == MessageCost(1, (budgets[1], budgets[0], budgets[3]), prefixes_of(MAINLAND))
    assert [budget.spans for budget in cost.budgets] == [[("day", 9)], [("hour", 5)], [("day", 2), ("hour", 1)]]


@pytest.mark.parametrize(("percent", "limit"), [(0, 100), (20, 80), (99, 1)])
def test_a_part_of_a_budget_is_kept_for_known_callers(percent: int, limit: int) -> None:
    budget = Budget("+86", 100, known_percent=percent)
    assert (budget.limit_for(100, is_known=False), budget.limit_for(100, is_known=True)) == (limit, 100)
    assert budget.limit_for(3, is_known=False) == 3 - 3 * percent // 100


def test_the_cheapest_message_of_a_budget_has_the_lowest_price_of_any_of_its_numbers() -> None:
    tariff = Tariff({"one": {"+": 9, "+86": 5}, "two": {"+86138": 3, "+1": 1}, "free": {"+": 0}})
    assert {prefix: tariff.cheapest(prefix) for prefix in ("+", "+86", "+861380013", "+861390000", "+44")} == {
        "+": 1,
        "+86": 3,
        "+861380013": 3,
        "+861390000": 5,
        "+44": 9,
    }
    assert Tariff({}).cheapest("+") == 0


@pytest.mark.parametrize("amount", ["0.00", "0.045", "0.000001", "12.50", "600.00", "999999999.999999"])
def test_a_formatted_amount_is_the_amount_that_was_read(amount: str) -> None:
    assert format_micros(micros(amount)) == amount
