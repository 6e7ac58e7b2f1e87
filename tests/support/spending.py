"""Spending as its tests see it: a plan, and processes that mind the money, over one database."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.errors import ErrorCode, ServiceError
from shared.phone import E164
from shared.postgres import Connection, Pool
from sms_service.delivery.budgeted_ledger_store import BudgetedLedger
from sms_service.delivery.delivery import Delivery
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.delivery.routing import Route
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.port import Sender
from sms_service.spending.cli import shown
from sms_service.spending.config import BudgetPart, SpendingPart, plan_of
from sms_service.spending.gate import SpendingGate
from sms_service.spending.monitor import PrefixMonitor
from sms_service.spending.plan import Plan
from sms_service.spending.store import SpendingStore
from sms_service.verification.test_numbers import NO_TEST_NUMBERS, TestNumbers
from support.sms import PHONES, Codes, Recorder, Sms, asking, entering

CENT = 10_000
"""In micros."""
MINUTE = timedelta(minutes=1)
SOON = {"record": 4, "slow": 8, "stop": 12, "per_minute": 3}
"""Stages that a few messages reach."""

AGE = (
    "update budgets set starts_at = starts_at - make_interval(secs => $1)",
    """
    with moved as (delete from prefix_traffic returning *)
    insert into prefix_traffic
    select starts_at - make_interval(secs => $1), range, network, country, sent, verified, spent from moved
    order by starts_at
    """,
    """
    update prefix_stages set
        since = since - make_interval(secs => $1), until = until - make_interval(secs => $1),
        cleared_at = cleared_at - make_interval(secs => $1), minute = minute - make_interval(secs => $1)
    """,
)


LEFT = """
    select extract(epoch from date_bin($1::interval, now(), 'epoch') + $1::interval - now())::float8
"""


async def clear_of_the_edge(
    database: "Pool | Connection", window: timedelta = timedelta(minutes=5), *, seconds: float = 10.0
) -> None:
    """See that a window of the database's clock does not end within ``seconds``: if it would, begin with the next one.

    Those of five minutes end where hours and days do.
    """
    while (left := await database.fetchval(LEFT, window)) < seconds:
        await asyncio.sleep(left)


def a_plan(
    *budgets: tuple[str, str | None, str | None],
    prices: Mapping[str, Mapping[str, int]] | None = None,
    **spending: Any,
) -> Plan:
    """A plan in which the sender ``recorder`` asks a cent everywhere, unless other prices are given."""
    plan = plan_of(
        SpendingPart.model_validate({"currency": "CNY"} | spending),
        [BudgetPart.model_validate({"prefix": prefix, "hour": hour, "day": day}) for prefix, hour, day in budgets],
        prices or {"recorder": {"+": CENT}},
    )
    assert plan is not None
    return plan


def block_of(prefix: str = "+86138") -> str:
    """A block of mainland numbers that nobody else uses."""
    return f"{prefix}{secrets.randbelow(10**4):04d}"


def number_in(block: str) -> E164:
    """A number of a block."""
    return E164(f"{block}{secrets.randbelow(10**4):04d}")


@dataclass
class Minding:
    """One process that minds the money: it asks, delivers, and judges whenever it is told to."""

    sms: Sms
    plan: Plan
    watch: SpendingGate = field(init=False)
    judge: PrefixMonitor = field(init=False)
    store: SpendingStore = field(init=False)
    ledger: BudgetedLedger = field(init=False)
    alarms: int = 0

    def __post_init__(self) -> None:
        self.store = SpendingStore(self.sms.pool)
        self.watch = SpendingGate(self.store, self.plan)
        self.judge = PrefixMonitor(self.store, self.plan, lambda: None, every=0, rest=0)
        self.ledger = BudgetedLedger(
            self.sms.pool, LedgerStore(self.sms.pool), self._alarm, self.plan.rules["range"].alarming
        )

    def _alarm(self) -> None:
        self.alarms += 1

    async def open(self) -> "Minding":
        """See that the budgets have their rows."""
        await self.store.open_budgets(self.plan.budgets)
        return self

    def codes(self, test_numbers: TestNumbers = NO_TEST_NUMBERS) -> Codes:
        return self.sms.codes(test_numbers=test_numbers, spending_guard=self.watch)

    def delivery(self, *senders: Sender, prefix: str = "+") -> Delivery:
        names = tuple(sender.name for sender in senders)
        sender_pool = SenderPool(senders, [Route(prefix, names)], {}, tariff=self.plan.tariff)
        return Delivery(self.ledger, sender_pool, self.sms.deriver, PHONES, lambda: None, gate=self.watch)

    async def shown(self) -> str:
        """What an operator is shown."""
        found, counts = await self.store.find(), await self.store.counts(1, 0)
        return shown(self.plan, found.windows, counts, await self.store.state())

    async def look(self) -> int:
        """Judge, and see what came of it. Returns how many stages were entered."""
        entered = await self.judge.judge()
        await self.watch.refresh()
        return entered

    async def age(self, **past: float) -> None:
        """Make time pass for all that is spent, counted and judged."""
        seconds = past.get("seconds", 0.0) + past.get("minutes", 0.0) * 60 + past.get("hours", 0.0) * 3600
        for statement in AGE:
            await self.sms.pool.execute(statement, seconds)

    async def spent(self, prefix: str, span: str = "hour") -> int:
        """What the running window of a budget says."""
        return int(
            await self.sms.pool.fetchval("select spent from budgets where prefix = $1 and span = $2", prefix, span)
        )

    async def paid(self, numbers: Sequence[E164]) -> int:
        """What the attempts for some numbers cost."""
        refs = PHONES.refs(numbers)
        return int(
            await self.sms.pool.fetchval(
                "select coalesce(sum(price), 0) from attempts where phone_ref = any($1::bigint[])", refs
            )
        )

    async def stages(self, scope: str) -> list[str]:
        """The stages of a scope that were told, in the order of their versions."""
        events = [event for event in await self.sms.events(scope) if event["subject"] == scope]
        told = sorted((event["version"], event["type"].split(".")[2]) for event in events)
        assert [version for version, _ in told] == list(range(1, len(told) + 1))
        return [name for _, name in told]


def a_sender(name: str = "recorder", **more: Any) -> Recorder:
    """One that takes everything at once."""
    return Recorder(name=name, **more)


async def send(mind: Minding, number: E164, *, verify: bool = False) -> None:
    """A code asked for and delivered, and entered if it is."""
    issued = await mind.codes().issue(asking(number))
    await mind.delivery(a_sender()).deliver((await mind.sms.sends(number))[-1]["message_id"])
    if verify:
        await mind.codes().check(entering(number, issued.code))


async def pump(mind: Minding, block: str, many: int, *, verify: bool = False) -> None:
    """Messages to so many numbers of a block."""
    for last in range(many):
        await send(mind, E164(f"{block}{last:04d}"), verify=verify)


async def pump_on(mind: Minding, block: str, many: int) -> None:
    """Messages to numbers of a block that got none so far."""
    already = await mind.sms.pool.fetchval(
        "select coalesce(sum(sent), 0)::int from prefix_traffic where range = $1", block
    )
    for last in range(already, already + many):
        await send(mind, E164(f"{block}{last:04d}"))


async def outcome(mind: Minding, number: E164) -> ErrorCode | None:
    """How a request for a code is refused; None when it is not."""
    try:
        await mind.codes().issue(asking(number))
    except ServiceError as error:
        return error.code
    return None
