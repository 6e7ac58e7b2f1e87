"""``python -m sms_service spending``: budgets and stages as they are, and letting a prefix go."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence

from shared import postgres
from shared.process.startup import UnreachableError
from sms_service.settings import SpendingSettings
from sms_service.spending.gate import PrefixState
from sms_service.spending.money import written
from sms_service.spending.monitor import PrefixMonitor, Window
from sms_service.spending.plan import KINDS, Plan
from sms_service.spending.policy import STAGE_NAMES, Counts
from sms_service.spending.store import SpendingStore


def spending(settings: SpendingSettings, resume: str | None) -> None:
    """Show, or let go. Ends the program with 1 when nothing could be done."""
    plan = settings.sms_config.plan
    if plan is None:
        sys.exit("There is no [spending] in the file of senders: nothing is counted and nobody is stopped.")
    if resume is not None and resume.partition(":")[0] not in KINDS:
        sys.exit(f"{resume}: expected block:, network: or country: and a prefix. A budget is made larger in the file.")
    try:
        sys.stdout.write(asyncio.run(_answer(settings, plan, resume)))
    except UnreachableError as error:
        sys.exit(str(error))


async def _answer(settings: SpendingSettings, plan: Plan, resume: str | None) -> str:
    async with postgres.pool(settings.postgres_url, settings.sms_database, size=1) as pool:
        store = SpendingStore(pool)
        if resume is None:
            return shown(plan, (await store.find()).windows, await store.counts(1, 0), await store.state())
        if not await PrefixMonitor(store, plan, lambda: None).resume(resume):
            sys.exit(f"{resume} is in no stage.")
        return f"{resume} is let go.\n"


def shown(plan: Plan, windows: Sequence[Window], counts: Mapping[str, Counts], state: Sequence[PrefixState]) -> str:
    """Everything as text, for people."""
    return "\n".join([*_budgets(plan, windows), *_stages(counts, state)]) + "\n"


def _budgets(plan: Plan, windows: Sequence[Window]) -> Iterator[str]:
    limits = {(budget.prefix, span): most for budget in plan.budgets for span, most in budget.spans}
    yield "Budgets" if limits else "No budgets"
    for window in sorted(windows, key=lambda one: (one.prefix, one.span)):
        most = limits.get((window.prefix, window.span))
        if most is not None:
            of = f"{written(window.spent)} of {written(most)} {plan.currency}"
            yield f"  {window.prefix} this {window.span}: {of}, anew in {_minutes(window.ends_in.total_seconds())}"


def _stages(found: Mapping[str, Counts], state: Sequence[PrefixState]) -> Iterator[str]:
    yield "Stages" if state else "No prefix is recorded, slowed or stopped"
    for one in sorted(state, key=lambda other: (-other.stage, other.scope)):
        counts = found.get(one.scope, Counts())
        told = f"  {one.scope}: {STAGE_NAMES[one.stage]} for {_minutes(one.lasted)}"
        left = f", {_minutes(one.left)} left" if one.left > 0 else ""
        came = f"; {counts.verified} of {counts.sent} verified" if one.scope.partition(":")[0] in KINDS else ""
        yield told + left + came


def _minutes(seconds: float) -> str:
    return f"{max(0, int(seconds // 60))} min"
