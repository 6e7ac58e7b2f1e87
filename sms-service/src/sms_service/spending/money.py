"""Prices and budgets in millionths of one currency, in whole numbers, and what a message costs by them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shared.phone import E164
from sms_service.spending.prefixes import NumberPrefixes, prefixes_of

MICROS = 1_000_000
_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")


def micros(amount: str) -> int:
    """``"0.045"`` as 45,000. Raises ``ValueError`` for anything but a plain decimal of up to six places."""
    if not (found := _AMOUNT.fullmatch(amount)):
        raise ValueError('expected an amount such as "0.045"')
    return int(found[1]) * MICROS + int((found[2] or "").ljust(6, "0"))


def written(amount: int) -> str:
    """45,000 as ``"0.045"``: nothing is rounded, and there are at least two places."""
    whole, rest = divmod(amount, MICROS)
    return f"{whole}.{f'{rest:06d}'.rstrip('0'):0<2}"


@dataclass(frozen=True)
class Budget:
    """What may be spent on number_activity with a prefix, in micros: in each hour and each day (UTC) of the clock."""

    prefix: str
    hour: int | None = None
    day: int | None = None

    @property
    def spans(self) -> list[tuple[str, int]]:
        """Each window that is limited, and by how much."""
        return [(span, most) for span, most in (("day", self.day), ("hour", self.hour)) if most is not None]


@dataclass(frozen=True)
class MessageCost:
    """What one attempt costs, on which budgets, and where it is counted."""

    micros: int
    budgets: tuple[Budget, ...]
    area: NumberPrefixes


class Tariff:
    """The prices of all senders, by prefix, and the budgets they are paid from."""

    def __init__(self, prices: Mapping[str, Mapping[str, int]], budgets: Sequence[Budget] = ()) -> None:
        self._prices = {sender: _longest_first(given) for sender, given in prices.items()}
        self._budgets = tuple(sorted(budgets, key=lambda budget: budget.prefix))

    def price(self, sender: str, number: str) -> int:
        """What one segment to a number costs by its longest priced prefix; nothing where there is no price."""
        return next((price for prefix, price in self._prices.get(sender, ()) if number.startswith(prefix)), 0)

    def charge(self, sender: str, number: E164, segments: int) -> MessageCost:
        """What a message costs. All budgets with a prefix of its number are charged."""
        budgets = tuple(budget for budget in self._budgets if number.startswith(budget.prefix))
        return MessageCost(self.price(sender, number) * segments, budgets, prefixes_of(number))

    def cheapest(self, prefix: str) -> int:
        """The least that a message to any number with a prefix may cost: with less left, nothing can be sent."""
        asked = {price for given in self._prices.values() for price in _reachable(given, prefix)}
        return min((price for price in asked if price > 0), default=0)


def _longest_first(prices: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(prices.items(), key=lambda one: len(one[0]), reverse=True)


def _reachable(prices: Sequence[tuple[str, int]], prefix: str) -> Iterable[int]:
    return (price for given, price in prices if given.startswith(prefix) or prefix.startswith(given))
