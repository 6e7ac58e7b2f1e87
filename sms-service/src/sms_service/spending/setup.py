"""What a process needs to mind the money, opened; nothing where the settings file says nothing of it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial

from shared.background import repeating
from shared.postgres import Pool
from sms_service.retention import PURGE_SECONDS
from sms_service.spending.gate import NO_SPENDING_LIMITS, REFRESH_SECONDS, NoSpendingLimits, SpendingGate
from sms_service.spending.monitor import ALARMED_SECONDS, JUDGE_SECONDS, PrefixMonitor
from sms_service.spending.plan import Plan
from sms_service.spending.store import SpendingStore


async def watching(plan: Plan | None, pool: Pool, stack: AsyncExitStack) -> SpendingGate | NoSpendingLimits:
    """The stages, read every second until ``stack`` is closed, and once before this returns."""
    if plan is None:
        return NO_SPENDING_LIMITS
    watch = SpendingGate(SpendingStore(pool), plan)
    await watch.refresh()
    await stack.enter_async_context(repeating("spending watch", REFRESH_SECONDS, watch.refresh))
    return watch


async def monitoring(
    plan: Plan, pool: Pool, wake: Callable[[], None], watch: SpendingGate, stack: AsyncExitStack
) -> Callable[[], None]:
    """Run the monitor of prefixes until ``stack`` is closed. Returns what to call to have it run at once."""
    store, alarm = SpendingStore(pool), asyncio.Event()
    await store.open_budgets(plan.budgets)
    await stack.enter_async_context(judging(PrefixMonitor(store, plan, wake), watch, alarm))
    await stack.enter_async_context(repeating("spending purge", PURGE_SECONDS, store.purge))
    return alarm.set


def judging(judge: PrefixMonitor, watch: SpendingGate, alarm: asyncio.Event) -> AbstractAsyncContextManager[None]:
    """Judge once a second, or when a block is suddenly busy, for as long as the block lasts.

    However long the alarm goes on, a tenth of a second is between two rounds.
    """
    return repeating("spending judge", ALARMED_SECONDS, partial(_round, judge, watch, alarm))


async def _round(judge: PrefixMonitor, watch: SpendingGate, alarm: asyncio.Event) -> None:
    """Wait, judge, and see at once what came of it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(JUDGE_SECONDS - ALARMED_SECONDS):
            await alarm.wait()
    alarmed = alarm.is_set()
    alarm.clear()
    if await judge.judge(alarmed=alarmed):
        await watch.refresh()
