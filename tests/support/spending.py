"""Spending in tests: a plan, and processes that charge, throttle and block over one database."""

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
from sms_service.spending.cli import render
from sms_service.spending.config import BudgetPart, SpendingPart, plan_of
from sms_service.spending.gate import SpendingGate
from sms_service.spending.monitor import PrefixMonitor
from sms_service.spending.plan import Plan
from sms_service.spending.store import SpendingStore
from sms_service.verification.test_numbers import NO_TEST_NUMBERS, TestNumbers
from support.sms import PHONES, SEAL, CodeCalls, Recorder, SilentRelay, Sms, asking, entering

CENT = 10_000
"""In micros."""
MINUTE = timedelta(minutes=1)
LOW_THRESHOLDS = {"flag": 4, "throttle": 8, "block": 12, "per_minute": 3}
"""Stages that a few messages reach."""

MAKE_OLDER = (
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

SECONDS_LEFT = """
    select extract(epoch from date_bin($1::interval, now(), 'epoch') + $1::interval - now())::float8
"""


async def clear_of_the_edge(
    database: "Pool | Connection", window: timedelta = timedelta(minutes=5), *, seconds: float = 10.0
) -> None:
    """Wait for the next window of the database's clock if the current one ends within ``seconds``.

    Windows of five minutes end where hours and days do.
    """
    while (left := await database.fetchval(SECONDS_LEFT, window)) < seconds:
        await asyncio.sleep(left)


def make_plan(
    *budgets: tuple[str, str | None, str | None],
    prices: Mapping[str, Mapping[str, int]] | None = None,
    **spending: Any,
) -> Plan:
    """A plan with budgets of (prefix, hour, day), of which nothing is kept for known callers unless ``spending`` says so.

    By default the sender ``recorder`` costs a cent everywhere.
    """
    plan = plan_of(
        SpendingPart.model_validate({"currency": "CNY", "known_percent": 0, "warn_percent": 80} | spending),
        [BudgetPart.model_validate({"prefix": prefix, "hour": hour, "day": day}) for prefix, hour, day in budgets],
        prices or {"recorder": {"+": CENT}},
    )
    assert plan is not None
    return plan


def random_range(prefix: str = "+86138") -> str:
    """A number range in China that no other test uses."""
    return f"{prefix}{secrets.randbelow(10**4):04d}"


def random_number(number_range: str) -> E164:
    return E164(f"{number_range}{secrets.randbelow(10**4):04d}")


@dataclass
class SpendingHarness:
    """One process that limits spending: a test requests, delivers and reviews through it, when it wants to."""

    sms: Sms
    plan: Plan
    gate: SpendingGate = field(init=False)
    monitor: PrefixMonitor = field(init=False)
    store: SpendingStore = field(init=False)
    ledger: BudgetedLedger = field(init=False)
    alarms: int = 0

    def __post_init__(self) -> None:
        self.store = SpendingStore(self.sms.pool)
        self.gate = SpendingGate(self.store, self.plan)
        self.monitor = PrefixMonitor(self.store, self.plan, lambda: None, interval=0, rest_factor=0)
        self.ledger = BudgetedLedger(
            self.sms.pool, LedgerStore(self.sms.pool), self._alarm, self.plan.rules["range"].alarm_sends
        )

    def _alarm(self) -> None:
        self.alarms += 1

    async def open(self) -> "SpendingHarness":
        """Add the rows of the budgets."""
        await self.store.open_budgets(self.plan.budgets)
        return self

    def codes(self, test_numbers: TestNumbers = NO_TEST_NUMBERS) -> CodeCalls:
        return self.sms.codes(test_numbers=test_numbers, spending_guard=self.gate)

    def delivery(self, *senders: Sender, prefix: str = "+") -> Delivery:
        names = tuple(sender.name for sender in senders)
        sender_pool = SenderPool(senders, [Route(prefix, names)], {}, tariff=self.plan.tariff)
        return Delivery(
            self.ledger, sender_pool, self.sms.deriver, SEAL, SilentRelay().hand_over, spending_guard=self.gate
        )

    async def rendered(self) -> str:
        """What ``python -m sms_service spending`` prints."""
        state, traffic = await self.store.find(), await self.store.traffic(1, 0)
        return render(self.plan, state.windows, traffic, await self.store.state())

    async def review(self) -> int:
        """Review, and refresh the gate. Returns how many stages were entered."""
        entered = await self.monitor.review()
        await self.gate.refresh()
        return entered

    async def age(self, **past: float) -> None:
        """Let time pass for everything that is spent, counted and reviewed."""
        seconds = past.get("seconds", 0.0) + past.get("minutes", 0.0) * 60 + past.get("hours", 0.0) * 3600
        for statement in MAKE_OLDER:
            await self.sms.pool.execute(statement, seconds)

    async def spent(self, prefix: str, span: str = "hour") -> int:
        """What the running window of a budget has spent."""
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
        """The stages of a scope for which there are events, in the order of their versions."""
        events = [event for event in await self.sms.events(scope) if event["subject"] == scope]
        stages = sorted((event["version"], event["type"].split(".")[2]) for event in events)
        assert [version for version, _ in stages] == list(range(1, len(stages) + 1))
        return [name for _, name in stages]


def make_sender(name: str = "recorder", **more: Any) -> Recorder:
    """A sender that accepts every message at once."""
    return Recorder(name=name, **more)


async def send(harness: SpendingHarness, number: E164, *, verify: bool = False, **more: Any) -> None:
    """Request a code, deliver it, and enter it if ``verify``. ``more`` is said in the request."""
    issued = await harness.codes().issue(asking(number, **more))
    await harness.delivery(make_sender()).deliver((await harness.sms.sends(number))[-1]["message_id"])
    if verify:
        await harness.codes().check(entering(number, issued.code))


async def pump(harness: SpendingHarness, number_range: str, count: int, *, verify: bool = False) -> None:
    """Send messages to ``count`` numbers of a range."""
    for last in range(count):
        await send(harness, E164(f"{number_range}{last:04d}"), verify=verify)


async def pump_on(harness: SpendingHarness, number_range: str, count: int) -> None:
    """Send messages to ``count`` numbers of a range that got none so far."""
    already = await harness.sms.pool.fetchval(
        "select coalesce(sum(sent), 0)::int from prefix_traffic where range = $1", number_range
    )
    for last in range(already, already + count):
        await send(harness, E164(f"{number_range}{last:04d}"))


async def outcome(harness: SpendingHarness, number: E164) -> ErrorCode | None:
    """The error code of a request for a code; None if the request is accepted."""
    try:
        await harness.codes().issue(asking(number))
    except ServiceError as error:
        return error.code
    return None
