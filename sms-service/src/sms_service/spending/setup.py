"""What a process needs to mind the money, opened; nothing where the settings file says nothing of it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial

from shared.postgres import Pool
from sms_service.delivery.budgeted_ledger_store import PaidLedger
from sms_service.delivery.delivery import Gate, Ledger
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.retention import PURGE_SECONDS, regularly
from sms_service.spending.gate import REFRESH_SECONDS, UNWATCHED, Unwatched, Watch
from sms_service.spending.monitor import ALARMED_SECONDS, JUDGE_SECONDS, Judge
from sms_service.spending.plan import Plan
from sms_service.spending.store import SpendingStore


async def watching(plan: Plan | None, pool: Pool, stack: AsyncExitStack) -> Watch | Unwatched:
    """The stages, read every second until ``stack`` is closed, and once before this returns."""
    if plan is None:
        return UNWATCHED
    watch = Watch(SpendingStore(pool), plan)
    await watch.refresh()
    await stack.enter_async_context(regularly("spending watch", REFRESH_SECONDS, watch.refresh))
    return watch


async def minding(
    plan: Plan | None, pool: Pool, wake: Callable[[], None], stack: AsyncExitStack
) -> tuple[Ledger, Gate]:
    """The ledger that charges for attempts and the gate before it, with the judge at work until ``stack`` is closed."""
    watch, ledger = await watching(plan, pool, stack), LedgerStore(pool)
    if plan is None or isinstance(watch, Unwatched):
        return ledger, watch
    store, alarm = SpendingStore(pool), asyncio.Event()
    await store.open_budgets(plan.budgets)
    await stack.enter_async_context(judging(Judge(store, plan, wake), watch, alarm))
    await stack.enter_async_context(regularly("spending purge", PURGE_SECONDS, store.purge))
    return PaidLedger(pool, ledger, alarm.set, plan.rules["block"].alarming), watch


def judging(judge: Judge, watch: Watch, alarm: asyncio.Event) -> AbstractAsyncContextManager[None]:
    """Judge once a second, or when a block is suddenly busy, for as long as the block lasts.

    However long the alarm goes on, a tenth of a second is between two rounds.
    """
    return regularly("spending judge", ALARMED_SECONDS, partial(_round, judge, watch, alarm))


async def _round(judge: Judge, watch: Watch, alarm: asyncio.Event) -> None:
    """Wait, judge, and see at once what came of it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(JUDGE_SECONDS - ALARMED_SECONDS):
            await alarm.wait()
    alarmed = alarm.is_set()
    alarm.clear()
    if await judge.judge(alarmed=alarmed):
        await watch.refresh()
