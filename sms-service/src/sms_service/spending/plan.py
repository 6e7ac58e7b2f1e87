"""The spending rules of the settings file, ready for use: prices, budgets, and the stages of prefixes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from sms_service.spending.money import Budget, Tariff
from sms_service.spending.policy import Rule

KINDS = ("range", "network", "country")
"""The three kinds of prefix that traffic is counted by: the fields of ``NumberPrefixes``, longest first."""
SPANS = ("hour", "day")
"""The windows of budgets."""


@dataclass(frozen=True)
class Plan:
    """``enforced``: prefixes are throttled and blocked; otherwise events report them. Budgets always apply."""

    currency: str
    enforced: bool
    warn_percent: int
    block_seconds: int
    rules: Mapping[str, Rule]
    budgets: tuple[Budget, ...]
    tariff: Tariff

    @cached_property
    def limits(self) -> dict[tuple[str, str], int]:
        """The limit in micros of each budget window, by prefix and span."""
        return {(budget.prefix, span): limit for budget in self.budgets for span, limit in budget.spans}

    @cached_property
    def limits_of_strangers(self) -> dict[tuple[str, str], int]:
        """As above, what strangers can spend: all but what is kept for callers who are known to their numbers."""
        return {
            (budget.prefix, span): budget.limit_for(limit, is_known=False)
            for budget in self.budgets
            for span, limit in budget.spans
        }
