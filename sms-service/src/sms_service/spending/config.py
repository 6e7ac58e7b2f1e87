"""What the settings file says of money: ``[spending]``, ``[[budgets]]``, and the prices of each sender."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sms_service.config_file.fields import ConfigTable, Whole
from sms_service.senders.config import Prices, micros_of
from sms_service.spending.money import Budget, Tariff
from sms_service.spending.plan import KINDS, Plan
from sms_service.spending.policy import Rule

Loc = tuple[str | int, ...]
Amount = Annotated[int, BeforeValidator(micros_of)]
Sends = Annotated[Whole, Field(ge=0, le=1_000_000)]
Percent = Annotated[Whole, Field(ge=1, le=100)]


class StagesPart(ConfigTable):
    """From how many sends on a prefix is recorded, slowed and stopped; 0 is never."""

    record: Sends
    slow: Sends
    stop: Sends
    per_minute: Whole = Field(default=6, ge=1, le=100_000)


class SpendingPart(ConfigTable):
    """The currency of all amounts, and what is done about prefixes from which no codes come back."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    mode: Literal["enforce", "record"] = "enforce"
    warn_percent: Percent = 80
    verified_percent: Percent = 25
    block_minutes: Whole = Field(default=60, ge=1, le=1440)
    range: StagesPart = StagesPart(record=20, slow=40, stop=80)
    network: StagesPart = StagesPart(record=200, slow=400, stop=0, per_minute=60)
    country: StagesPart = StagesPart(record=1000, slow=0, stop=0, per_minute=600)

    @property
    def rules(self) -> dict[str, Rule]:
        """The stages of each kind of prefix, as the rules know them."""
        parts = {kind: getattr(self, kind) for kind in KINDS}
        return {
            kind: Rule(part.record, part.slow, part.stop, part.per_minute, self.verified_percent)
            for kind, part in parts.items()
        }


class BudgetPart(ConfigTable):
    """What may be spent on number_activity with a prefix in each hour and each day of the clock (UTC)."""

    prefix: str = Field(pattern=r"^\+[0-9]{0,15}$")
    hour: Amount | None = None
    day: Amount | None = None


def plan_of(spending: SpendingPart | None, budgets: Sequence[BudgetPart], prices: Mapping[str, Prices]) -> Plan | None:
    """The parts put together; None where the file says nothing of spending, and nothing is counted."""
    if spending is None:
        return None
    known = tuple(Budget(part.prefix, part.hour, part.day) for part in budgets)
    return Plan(
        currency=spending.currency,
        enforced=spending.mode == "enforce",
        warn_percent=spending.warn_percent,
        block_seconds=spending.block_minutes * 60,
        rules=spending.rules,
        budgets=known,
        tariff=Tariff(prices, known),
    )


def wrong_money(
    spending: SpendingPart | None, budgets: Sequence[BudgetPart], senders: Mapping[str, Any], routes: Sequence[Any]
) -> Iterator[tuple[Loc, str]]:
    """Where what the file says of money disagrees with itself or with its routes."""
    if spending is None:
        priced = [("senders", name, "prices") for name, sender in senders.items() if sender.prices]
        for loc in (*priced, *([("budgets",)] if budgets else [])):
            yield loc, "needs a [spending] table that names the currency"
        return
    yield from _wrong_budgets(budgets)
    for kind in KINDS:
        part = getattr(spending, kind)
        given = [sends for sends in (part.record, part.slow, part.stop) if sends]
        if given != sorted(given):
            yield ("spending", kind), "record, slow and stop must not fall"
    if budgets:
        yield from _unpriced(senders, routes)


def _wrong_budgets(budgets: Sequence[BudgetPart]) -> Iterator[tuple[Loc, str]]:
    for position, budget in enumerate(budgets):
        if budget.hour is None and budget.day is None:
            yield ("budgets", position), "needs hour, day, or both"
        elif budget.hour is not None and budget.day is not None and budget.hour > budget.day:
            yield ("budgets", position, "hour"), "is more than the day's"
        if budget.prefix in [earlier.prefix for earlier in budgets[:position]]:
            yield ("budgets", position, "prefix"), "is given a second time"


def _unpriced(senders: Mapping[str, Any], routes: Sequence[Any]) -> Iterator[tuple[Loc, str]]:
    """A budget is worth nothing when some messages have no price. The inbox of development costs nothing."""
    for position, route in enumerate(routes):
        for name in route.senders:
            sender = senders.get(name)
            if sender is None or sender.type == "inbox":
                continue
            if not any(route.prefix.startswith(prefix) for prefix in sender.prices):
                yield ("routes", position, "senders"), f'sender "{name}" has no price for {route.prefix}'
