"""Starts what a process needs to limit spending; nothing if the settings file has no ``[spending]``."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial

from shared.background import repeating
from shared.postgres import Pool
from sms_service.retention import PURGE_SECONDS
from sms_service.spending.budget_gauge import showing_budgets
from sms_service.spending.gate import INTERVAL_REFRESH_SECONDS, NO_SPENDING_LIMITS, NoSpendingLimits, SpendingGate
from sms_service.spending.monitor import INTERVAL_ALARM_SECONDS, INTERVAL_REVIEW_SECONDS, PrefixMonitor
from sms_service.spending.plan import Plan
from sms_service.spending.store import SpendingStore


async def watching(plan: Plan | None, pool: Pool, stack: AsyncExitStack) -> SpendingGate | NoSpendingLimits:
    """A gate that is refreshed every second until ``stack`` closes, and once before this returns."""
    if plan is None:
        return NO_SPENDING_LIMITS
    gate = SpendingGate(SpendingStore(pool), plan)
    await gate.refresh()
    await stack.enter_async_context(repeating("refresh stages", INTERVAL_REFRESH_SECONDS, gate.refresh))
    return gate


async def monitoring(
    plan: Plan, pool: Pool, wake: Callable[[], None], gate: SpendingGate, stack: AsyncExitStack
) -> Callable[[], None]:
    """Run a monitor until ``stack`` closes. Returns its alarm: a call makes it review as soon as it can."""
    store, alarm = SpendingStore(pool), asyncio.Event()
    await store.open_budgets(plan.budgets)
    await stack.enter_async_context(reviewing(PrefixMonitor(store, plan, wake), gate, alarm))
    await stack.enter_async_context(showing_budgets(plan.limits, store.windows))
    await stack.enter_async_context(repeating("purge traffic", PURGE_SECONDS, store.purge))
    return alarm.set


def reviewing(monitor: PrefixMonitor, gate: SpendingGate, alarm: asyncio.Event) -> AbstractAsyncContextManager[None]:
    """Review every second for as long as the block lasts, and on an alarm up to ten times a second."""
    return repeating("review spending", INTERVAL_ALARM_SECONDS, partial(_review, monitor, gate, alarm))


async def _review(monitor: PrefixMonitor, gate: SpendingGate, alarm: asyncio.Event) -> None:
    """Wait for the alarm or the interval, review, and refresh the gate if a stage changed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(INTERVAL_REVIEW_SECONDS - INTERVAL_ALARM_SECONDS):
            await alarm.wait()
    alarmed = alarm.is_set()
    alarm.clear()
    if await monitor.review(alarmed=alarmed):
        await gate.refresh()
