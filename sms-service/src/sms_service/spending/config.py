"""The tables of the settings file about money: ``[spending]``, ``[[budgets]]``, and the prices of each sender."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sms_service.config_file.fields import ConfigTable, Prefix, Whole
from sms_service.spending.money import Budget, Tariff, micros
from sms_service.spending.plan import KINDS, Plan
from sms_service.spending.policy import Rule

Loc = tuple[str | int, ...]


def _micros(amount: Any) -> int:
    """An amount is text in the file, because TOML would round the fraction of a number."""
    return micros(amount if isinstance(amount, str) else "")


Amount = Annotated[int, BeforeValidator(_micros)]
Prices = dict[Prefix, Amount]
"""The price of one segment to numbers with a prefix. The longest prefix decides."""
Sends = Annotated[Whole, Field(ge=0, le=1_000_000)]
Percent = Annotated[Whole, Field(ge=1, le=100)]


class StagesPart(ConfigTable):
    """How many sends in an hour flag, throttle and block a prefix; 0 switches a stage off."""

    flag: Sends
    throttle: Sends
    block: Sends
    per_minute: Whole = Field(default=6, ge=1, le=100_000)


class SpendingPart(ConfigTable):
    """The currency of all amounts, and what to do about prefixes whose users verify too few codes.

    ``known_percent`` of each budget is kept for callers who are known to their numbers.
    """

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    mode: Literal["enforce", "observe"] = "enforce"
    warn_percent: Percent = 60
    known_percent: Whole = Field(default=20, ge=0, le=99)
    verified_percent: Percent = 25
    block_minutes: Whole = Field(default=60, ge=1, le=1440)
    range: StagesPart = StagesPart(flag=20, throttle=40, block=80)
    network: StagesPart = StagesPart(flag=200, throttle=400, block=0, per_minute=60)
    country: StagesPart = StagesPart(flag=1000, throttle=0, block=0, per_minute=600)

    @property
    def rules(self) -> dict[str, Rule]:
        """The rule of each kind of prefix."""
        parts = {kind: getattr(self, kind) for kind in KINDS}
        return {
            kind: Rule(part.flag, part.throttle, part.block, part.per_minute, self.verified_percent)
            for kind, part in parts.items()
        }


class BudgetPart(ConfigTable):
    """How much may be spent on numbers with a prefix in each hour and each day of the clock (UTC)."""

    prefix: Prefix
    hour: Amount | None = None
    day: Amount | None = None


def plan_of(spending: SpendingPart | None, budgets: Sequence[BudgetPart], prices: Mapping[str, Prices]) -> Plan | None:
    """The plan that the tables describe; None if the file has no ``[spending]``."""
    if spending is None:
        return None
    all_budgets = tuple(Budget(part.prefix, part.hour, part.day, spending.known_percent) for part in budgets)
    return Plan(
        currency=spending.currency,
        enforced=spending.mode == "enforce",
        warn_percent=spending.warn_percent,
        block_seconds=spending.block_minutes * 60,
        rules=spending.rules,
        budgets=all_budgets,
        tariff=Tariff(prices, all_budgets),
    )


def wrong_money(
    spending: SpendingPart | None, budgets: Sequence[BudgetPart], senders: Mapping[str, Any], routes: Sequence[Any]
) -> Iterator[tuple[Loc, str]]:
    """The places where the tables contradict each other or the routes, each with what is wrong."""
    if spending is None:
        priced = [("senders", name, "prices") for name, sender in senders.items() if sender.prices]
        for loc in (*priced, *([("budgets",)] if budgets else [])):
            yield loc, "needs a [spending] table that names the currency"
        return
    yield from _wrong_budgets(budgets)
    for kind in KINDS:
        part = getattr(spending, kind)
        thresholds = [sends for sends in (part.flag, part.throttle, part.block) if sends]
        if thresholds != sorted(thresholds):
            yield ("spending", kind), "throttle must not be below flag, nor block below throttle"
    if budgets:
        yield from _unpriced(senders, routes)


def _wrong_budgets(budgets: Sequence[BudgetPart]) -> Iterator[tuple[Loc, str]]:
    for position, budget in enumerate(budgets):
        if budget.hour is None and budget.day is None:
            yield ("budgets", position), "needs hour, day, or both"
        elif budget.hour is not None and budget.day is not None and budget.hour > budget.day:
            yield ("budgets", position, "hour"), "must not exceed day"
        if budget.prefix in [earlier.prefix for earlier in budgets[:position]]:
            yield ("budgets", position, "prefix"), "is already the prefix of an earlier budget"


def _unpriced(senders: Mapping[str, Any], routes: Sequence[Any]) -> Iterator[tuple[Loc, str]]:
    """The senders without a price, which a budget could not limit. The development inbox costs nothing."""
    for position, route in enumerate(routes):
        for name in route.senders:
            sender = senders.get(name)
            if sender is None or sender.type == "inbox":
                continue
            if not any(route.prefix.startswith(prefix) for prefix in sender.prices):
                yield ("routes", position, "senders"), f'sender "{name}" has no price for {route.prefix}'
