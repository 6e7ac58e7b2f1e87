"""The gauge of budgets: how much of the fullest one is used."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

from prometheus_client import Gauge

from shared.background import repeating
from sms_service.spending.money import BudgetWindow
from sms_service.spending.plan import SPANS

INTERVAL_SECONDS = 5.0
USED = Gauge("haoma_budget_used_ratio", "Spent share of the fullest budget of the running hour or day", ["span"])

Limits = Mapping[tuple[str, str], int]
"""The limit in micros of each prefix and span."""


def showing_budgets(
    limits: Limits, windows: Callable[[], Awaitable[Sequence[BudgetWindow]]]
) -> AbstractAsyncContextManager[None]:
    """Show the budgets every five seconds, for as long as the block lasts."""
    return repeating("show budgets", INTERVAL_SECONDS, partial(show_budgets, limits, windows))


async def show_budgets(limits: Limits, windows: Callable[[], Awaitable[Sequence[BudgetWindow]]]) -> None:
    """Set the gauge. It names no prefix, which may be nearly a whole number; the events of spending do."""
    fullest = dict.fromkeys(SPANS, 0.0)
    for window in await windows():
        if limit := limits.get((window.prefix, window.span)):
            fullest[window.span] = max(fullest[window.span], window.spent / limit)
    for span, used in fullest.items():
        USED.labels(span).set(used)
