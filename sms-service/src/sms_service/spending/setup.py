"""What a process needs to mind the money, opened; nothing where the settings file says nothing of it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial

from shared.postgres import Pool
from sms_service.delivery.budgeted_ledger_store import BudgetedLedger
from sms_service.delivery.delivery import Ledger, QueuedSpendingGuard
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.retention import PURGE_SECONDS, regularly
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
    await stack.enter_async_context(regularly("spending watch", REFRESH_SECONDS, watch.refresh))
    return watch


async def minding(
    plan: Plan | None, pool: Pool, wake: Callable[[], None], stack: AsyncExitStack
) -> tuple[Ledger, QueuedSpendingGuard]:
    """The ledger that charges for attempts and the gate before it, with the judge at work until ``stack`` is closed."""
    watch, ledger = await watching(plan, pool, stack), LedgerStore(pool)
    if plan is None or isinstance(watch, NoSpendingLimits):
        return ledger, watch
    store, alarm = SpendingStore(pool), asyncio.Event()
    await store.open_budgets(plan.budgets)
    await stack.enter_async_context(judging(PrefixMonitor(store, plan, wake), watch, alarm))
    await stack.enter_async_context(regularly("spending purge", PURGE_SECONDS, store.purge))
    return BudgetedLedger(pool, ledger, alarm.set, plan.rules["range"].alarming), watch


def judging(judge: PrefixMonitor, watch: SpendingGate, alarm: asyncio.Event) -> AbstractAsyncContextManager[None]:
    """Judge once a second, or when a block is suddenly busy, for as long as the block lasts.

    However long the alarm goes on, a tenth of a second is between two rounds.
    """
    return regularly("spending judge", ALARMED_SECONDS, partial(_round, judge, watch, alarm))


async def _round(judge: PrefixMonitor, watch: SpendingGate, alarm: asyncio.Event) -> None:
    """Wait, judge, and see at once what came of it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(JUDGE_SECONDS - ALARMED_SECONDS):
            await alarm.wait()
    alarmed = alarm.is_set()
    alarm.clear()
    if await judge.judge(alarmed=alarmed):
        await watch.refresh()
