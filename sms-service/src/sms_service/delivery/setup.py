"""Opens what delivery needs: the ledger, with budgets if the settings file has prices, and the pool of senders."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from shared.background import repeating
from shared.postgres import Pool
from sms_service.delivery.budgeted_ledger_store import BudgetedLedger
from sms_service.delivery.delivery import Delivery, QueuedSpendingGuard
from sms_service.delivery.ledger import Ledger
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.delivery.routing import Route
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.config import SenderConfig
from sms_service.senders.opening import SenderResources, open_senders
from sms_service.spending.gate import NoSpendingLimits
from sms_service.spending.plan import Plan
from sms_service.spending.setup import monitoring, watching

SWEEP_SECONDS = 10.0


async def open_ledger(
    plan: Plan | None, pool: Pool, wake: Callable[[], None], stack: AsyncExitStack
) -> tuple[Ledger, QueuedSpendingGuard]:
    """The ledger, and the guard for queued messages. With a plan, prefixes are monitored until ``stack`` is closed."""
    ledger, gate = LedgerStore(pool), await watching(plan, pool, stack)
    if plan is None or isinstance(gate, NoSpendingLimits):
        return ledger, gate
    on_surge = await monitoring(plan, pool, wake, gate, stack)
    return BudgetedLedger(pool, ledger, on_surge, plan.rules["range"].alarm_sends), gate


async def open_sender_pool(
    configs: Mapping[str, SenderConfig],
    routes: Sequence[Route],
    plan: Plan | None,
    resources: SenderResources,
    stack: AsyncExitStack,
) -> SenderPool:
    """The senders of the settings file with their routes, limits and prices; they close with ``stack``."""
    senders = await open_senders(configs, resources, stack)
    limits = {name: config.sender_limits for name, config in configs.items()}
    return SenderPool(senders, routes, limits, tariff=plan.tariff if plan else None)


def sweeping(delivery: Delivery) -> AbstractAsyncContextManager[None]:
    """Finish abandoned and expired messages every ten seconds, for as long as the block lasts."""
    return repeating("sweep", SWEEP_SECONDS, delivery.sweep)
