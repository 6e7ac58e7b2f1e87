"""All that the settings file says of money, as the rules know it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sms_service.spending.money import Budget, Tariff
from sms_service.spending.policy import Rule

KINDS = ("range", "network", "country")
"""What codes are counted by: the prefixes of an ``NumberPrefixes``, narrowest first."""
SPANS = ("hour", "day")
"""The windows of budgets."""


@dataclass(frozen=True)
class Plan:
    """``enforced`` is whether prefixes are slowed and stopped by what comes back; budgets always hold."""

    currency: str
    enforced: bool
    warn_percent: int
    block_seconds: int
    rules: Mapping[str, Rule]
    budgets: tuple[Budget, ...]
    tariff: Tariff
