"""Areas, prices and charges: whole millionths, the longest prefix, every budget of a number."""

import phonenumbers
import pytest

from shared.phone import E164
from sms_service.spending.money import Budget, MessageCost, Tariff, micros, written
from sms_service.spending.prefixes import NumberPrefixes, calling_code, prefixes_of

MAINLAND = E164("+8613800138000")


@pytest.mark.parametrize(
    ("number", "area"),
    [
        ("+8613800138000", NumberPrefixes("+861380013", "+86138", "+86")),
        ("+14155550100", NumberPrefixes("+1415555", "+1415", "+1")),
        ("+85261234567", NumberPrefixes("+8526123", "+852612", "+852")),
        ("+4915112345678", NumberPrefixes("+491511", "+49151", "+49")),
        ("+79161234567", NumberPrefixes("+79161", "+7916", "+7")),
        ("+68320123", NumberPrefixes("+6832", "+6832", "+683")),
        ("+6834000", NumberPrefixes("+683", "+683", "+683")),
    ],
)
def test_a_number_belongs_to_a_block_in_a_network_in_a_country(number: str, area: NumberPrefixes) -> None:
    assert prefixes_of(E164(number)) == area
    assert number.startswith(area.range)
    assert area.range.startswith(area.network)
    assert area.network.startswith(area.country)
    assert len(number) - len(area.range) >= 4  # a block is shown, a number never


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
def test_an_amount_is_whole_millionths(amount: str, expected: int) -> None:
    assert micros(amount) == expected


@pytest.mark.parametrize(
    "amount", ["", "-1", "1,5", "1.", ".5", "0.0000001", "1e3", " 1", "1 ", "１", "1000000000", "NaN"]
)
def test_what_is_no_plain_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"expected an amount such as"):
        micros(amount)


def test_the_longest_prefix_has_the_price_and_each_segment_costs_it() -> None:
    tariff = Tariff({"one": {"+": 9, "+86": 5, "+86138": 3}, "two": {"+1": 1}})
    assert [tariff.price("one", number) for number in (MAINLAND, "+8613900000000", "+14155550100")] == [3, 5, 9]
    assert tariff.price("two", MAINLAND) == 0
    assert tariff.charge("one", MAINLAND, 2).micros == 6


def test_a_message_is_charged_on_every_budget_of_its_number() -> None:
    budgets = [Budget("+86", 5), Budget("+", day=9), Budget("+1", 1), Budget("+861380013", 1, 2)]
    charge = Tariff({"one": {"+": 1}}, budgets).charge("one", MAINLAND, 1)
    assert charge == MessageCost(1, (budgets[1], budgets[0], budgets[3]), prefixes_of(MAINLAND))
    assert [budget.spans for budget in charge.budgets] == [[("day", 9)], [("hour", 5)], [("day", 2), ("hour", 1)]]


def test_the_cheapest_message_of_a_budget_is_the_least_that_any_of_its_numbers_could_cost() -> None:
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
def test_an_amount_is_written_as_it_was_read(amount: str) -> None:
    assert written(micros(amount)) == amount
