"""Prices and budgets in micros: whole millionths of one currency. And what a message costs by them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.phone import E164
from sms_service.spending.prefixes import NumberPrefixes, prefixes_of

MICROS = 1_000_000
_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")


def micros(amount: str) -> int:
    """``"0.045"`` as 45,000. Raises ``ValueError`` unless it is a plain decimal with at most six places."""
    if not (found := _AMOUNT.fullmatch(amount)):
        raise ValueError('expected an amount such as "0.045"')
    return int(found[1]) * MICROS + int((found[2] or "").ljust(6, "0"))


def format_micros(amount: int) -> str:
    """45,000 as ``"0.045"``: never rounded, with at least two places."""
    whole, fraction = divmod(amount, MICROS)
    return f"{whole}.{f'{fraction:06d}'.rstrip('0'):0<2}"


@dataclass(frozen=True)
class Budget:
    """How much may be spent on numbers with a prefix, in micros, in each hour and each day of the clock (UTC).

    ``known_percent`` of each is kept for messages that callers ask for who are known to their numbers.
    """

    prefix: str
    hour: int | None = None
    day: int | None = None
    known_percent: int = 0

    @property
    def spans(self) -> list[tuple[str, int]]:
        """The limited windows, each with its limit."""
        return [(span, limit) for span, limit in (("day", self.day), ("hour", self.hour)) if limit is not None]

    def limit_for(self, limit: int, *, is_known: bool) -> int:
        """Up to where a message may be paid from a window with this limit, for a caller who may be known."""
        return limit if is_known else limit - limit * self.known_percent // 100


@dataclass(frozen=True)
class BudgetWindow:
    """The running hour or day of a budget, and what was spent in it so far, in micros."""

    prefix: str
    span: str
    ends_in: timedelta
    spent: int

    @property
    def scope(self) -> str:
        return f"{self.span}:{self.prefix}"


@dataclass(frozen=True)
class MessageCost:
    """What one attempt costs, the budgets that pay for it, and the prefixes that it counts towards."""

    micros: int
    budgets: tuple[Budget, ...]
    prefixes: NumberPrefixes


class Tariff:
    """The prices of all senders, by prefix, and the budgets that pay them."""

    def __init__(self, prices: Mapping[str, Mapping[str, int]], budgets: Sequence[Budget] = ()) -> None:
        self._prices = {sender: _longest_first(by_prefix) for sender, by_prefix in prices.items()}
        self._budgets = tuple(sorted(budgets, key=lambda budget: budget.prefix))

    def price(self, sender: str, number: str) -> int:
        """The price of one segment to a number: that of the longest matching prefix, or 0 if none matches."""
        return next((price for prefix, price in self._prices.get(sender, ()) if number.startswith(prefix)), 0)

    def cost(self, sender: str, number: E164, segments: int) -> MessageCost:
        """What a message costs. Every budget whose prefix matches the number is charged."""
        budgets = tuple(budget for budget in self._budgets if number.startswith(budget.prefix))
        return MessageCost(self.price(sender, number) * segments, budgets, prefixes_of(number))

    def cheapest(self, prefix: str) -> int:
        """The lowest price of a message to any number with a prefix. A budget with less left can pay for nothing."""
        prices = {price for by_prefix in self._prices.values() for price in _applicable(by_prefix, prefix)}
        return min((price for price in prices if price > 0), default=0)


def _longest_first(prices: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(prices.items(), key=lambda item: len(item[0]), reverse=True)


def _applicable(prices: Sequence[tuple[str, int]], prefix: str) -> Iterable[int]:
    """The prices that apply to some number with a prefix."""
    return (price for priced, price in prices if priced.startswith(prefix) or prefix.startswith(priced))
