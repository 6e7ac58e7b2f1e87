"""``python -m sms_service spending``: show budgets and stages, or unblock a prefix."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence

from shared import postgres
from shared.process.startup import UnreachableError
from sms_service.spending.gate import PrefixState
from sms_service.spending.money import BudgetWindow, format_micros
from sms_service.spending.monitor import PrefixMonitor
from sms_service.spending.plan import KINDS, Plan
from sms_service.spending.policy import BUDGET_STAGE_NAMES, STAGE_NAMES, PrefixTraffic
from sms_service.spending.store import SpendingStore

NO_SPENDING = "The settings file has no [spending]: sms-service counts no messages and blocks no prefix."
NOT_A_SCOPE = "{scope}: expected range:, network: or country: and a prefix. To raise a budget, edit the settings file."


def spending(plan: Plan | None, postgres_url: str, database: str, unblock: str | None) -> None:
    """Print budgets and stages, or unblock the prefix ``unblock``. Exits with 1 and a reason if it cannot."""
    if plan is None:
        sys.exit(NO_SPENDING)
    if unblock is not None and unblock.partition(":")[0] not in KINDS:
        sys.exit(NOT_A_SCOPE.format(scope=unblock))
    try:
        sys.stdout.write(asyncio.run(_run(plan, postgres_url, database, unblock)))
    except UnreachableError as error:
        sys.exit(str(error))


async def _run(plan: Plan, postgres_url: str, database: str, unblock: str | None) -> str:
    async with postgres.pool(postgres_url, database, size=1) as pool:
        store = SpendingStore(pool)
        if unblock is None:
            return render(plan, (await store.find()).windows, await store.traffic(1, 0), await store.state())
        if not await PrefixMonitor(store, plan, lambda: None).unblock(unblock):
            sys.exit(f"{unblock} is not flagged, throttled or blocked.")
        return f"{unblock} is unblocked.\n"


def render(
    plan: Plan, windows: Sequence[BudgetWindow], traffic: Mapping[str, PrefixTraffic], states: Sequence[PrefixState]
) -> str:
    """Budgets and stages as text for a terminal."""
    return "\n".join([*_budgets(plan, windows), *_stages(traffic, states)]) + "\n"


def _budgets(plan: Plan, windows: Sequence[BudgetWindow]) -> Iterator[str]:
    yield "Budgets" if plan.limits else "No budgets"
    for window in sorted(windows, key=lambda each: (each.prefix, each.span)):
        limit = plan.limits.get((window.prefix, window.span))
        if limit is not None:
            spent = f"{format_micros(window.spent)} of {format_micros(limit)} {plan.currency}"
            renewal = _minutes(window.ends_in.total_seconds())
            yield f"  {window.prefix} this {window.span}: {spent}, renewed in {renewal}"


def _stages(traffic: Mapping[str, PrefixTraffic], states: Sequence[PrefixState]) -> Iterator[str]:
    yield "Stages" if states else "No prefix is flagged, throttled or blocked"
    for state in sorted(states, key=lambda each: (-each.stage, each.scope)):
        is_prefix = state.kind in KINDS
        name = (STAGE_NAMES if is_prefix else BUDGET_STAGE_NAMES)[state.stage]
        line = f"  {state.scope}: {name} for {_minutes(state.lasted)}"
        if state.left > 0:
            line += f", {_minutes(state.left)} left"
        if is_prefix:
            counts = traffic.get(state.scope, PrefixTraffic())
            line += f"; {counts.verified} of {counts.sent} verified"
        yield line


def _minutes(seconds: float) -> str:
    return f"{max(0, int(seconds // 60))} min"
