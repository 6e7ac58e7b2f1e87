"""``python -m sms_service spending``: budgets and stages as they are, and letting a prefix go."""

import asyncio
import sys
from collections.abc import Iterator

from shared import postgres
from shared.startup import UnreachableError
from sms_service.settings import SmsSettings
from sms_service.spending.judge import Found, Judge
from sms_service.spending.money import MICROS
from sms_service.spending.plan import KINDS, Plan
from sms_service.spending.policy import Counts, Stage
from sms_service.spending.store import SpendingStore
from sms_service.spending.watch import Standing


def spending(settings: SmsSettings, resume: str | None) -> None:
    """Show, or let go. Ends the program with 1 when nothing could be done."""
    plan = settings.routing.plan
    if plan is None:
        sys.exit("There is no [spending] in the file of senders: nothing is counted and nobody is stopped.")
    if resume is not None and resume.partition(":")[0] not in KINDS:
        sys.exit(f"{resume}: expected block:, network: or country: and a prefix. A budget is made larger in the file.")
    try:
        sys.stdout.write(asyncio.run(_answer(settings, plan, resume)))
    except UnreachableError as error:
        sys.exit(str(error))


async def _answer(settings: SmsSettings, plan: Plan, resume: str | None) -> str:
    async with postgres.pool(settings.postgres_url, settings.sms_database, size=1) as pool:
        store = SpendingStore(pool)
        if resume is None:
            return shown(plan, await store.find(1, 0), await store.standing())
        if not await Judge(store, plan, lambda: None).resume(resume):
            sys.exit(f"{resume} is in no stage.")
        return f"{resume} is let go.\n"


def shown(plan: Plan, found: Found, standing: list[Standing]) -> str:
    """Everything as text, for people."""
    return "\n".join([*_budgets(plan, found), *_stages(found, standing)]) + "\n"


def _budgets(plan: Plan, found: Found) -> Iterator[str]:
    limits = {(budget.prefix, span): most for budget in plan.budgets for span, most in budget.spans}
    yield "Budgets" if limits else "No budgets"
    for window in sorted(found.windows, key=lambda one: (one.prefix, one.span)):
        most = limits.get((window.prefix, window.span))
        if most is not None:
            of = f"{window.spent / MICROS:.2f} of {most / MICROS:.2f} {plan.currency}"
            yield f"  {window.prefix} this {window.span}: {of}, anew in {_minutes(window.ends_in.total_seconds())}"


def _stages(found: Found, standing: list[Standing]) -> Iterator[str]:
    yield "Stages" if standing else "No prefix is recorded, slowed or stopped"
    for one in sorted(standing, key=lambda other: (-other.stage, other.scope)):
        counts = found.counts.get(one.scope, Counts())
        told = f"  {one.scope}: {_VERBS[one.stage]} for {_minutes(one.lasted)}"
        left = f", {_minutes(one.left)} left" if one.left > 0 else ""
        came = f"; {counts.verified} of {counts.sent} verified" if one.scope.partition(":")[0] in KINDS else ""
        yield told + left + came


_VERBS = {Stage.RECORD: "recorded", Stage.SLOW: "slowed", Stage.STOP: "stopped"}


def _minutes(seconds: float) -> str:
    return f"{max(0, int(seconds // 60))} min"
