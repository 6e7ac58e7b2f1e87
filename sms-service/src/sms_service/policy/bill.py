"""The worst bill of an hour: how many messages callers can cause, what they cost by country, and the budgets."""

from collections.abc import Iterator
from itertools import product

from shared.internal_api.sms import Language, Purpose
from shared.policy.lines import PolicyLine
from sms_service.callers.limits import CallerLimitValues, Limit, kept_for_known
from sms_service.config_loader import SmsConfig
from sms_service.delivery.routing import Route
from sms_service.messages.segments import segments
from sms_service.messages.templates import MessageContext
from sms_service.otp import CODE_LIFETIME
from sms_service.spending.money import MICROS, Budget, Tariff, format_micros
from sms_service.spending.plan import Plan

ATTEMPTS = 2
"""A message has so many attempts at most, each with another sender and each charged."""
SAMPLE_CODE = "012345"


def bills(limits: CallerLimitValues | None, config: SmsConfig) -> Iterator[PolicyLine]:
    """What one network and all networks together can make us pay in their worst hour."""
    for name, who in (("network", "a /24 of IPv4 or a /56 of IPv6"), ("site", "a /48 of IPv6")):
        sends: Limit | None = None if limits is None else getattr(limits, f"{name}_sends")
        yield PolicyLine(
            topic="spend",
            name=f"spend.{name}",
            who=f"requests for codes from {who}",
            at_most=None if sends is None else _in_worst_hour(sends) + _in_worst_hour(kept_for_known(sends)),
            unit="messages in an hour",
            note="CALLER_LIMITS=off" if sends is None else _bill(sends, config),
        )
    yield from _budgets(config.plan)


def message_prices(config: SmsConfig) -> dict[str, int]:
    """The most that one message costs, in micros, by the prefixes that have a price."""
    if config.plan is None:
        return {}
    prefixes = sorted({prefix for sender in config.senders.values() for prefix in sender.prices})
    priced = {prefix: _attempts(config, config.plan.tariff, prefix) * _segments(config, prefix) for prefix in prefixes}
    return {prefix: price for prefix, price in priced.items() if price}


def _attempts(config: SmsConfig, tariff: Tariff, prefix: str) -> int:
    """The price of one segment, with the dearest senders of its route."""
    routes = [route for route in config.ordered_routes if prefix.startswith(route.prefix)]
    senders = max(routes, key=_length).senders if routes else ()
    return sum(sorted(tariff.price(sender, prefix) for sender in senders)[-ATTEMPTS:])


def _length(route: Route) -> int:
    return len(route.prefix)


def _segments(config: SmsConfig, prefix: str) -> int:
    """The most segments of a text to numbers with a prefix."""
    texts = config.message_tables.composer
    contexts = (MessageContext(purpose, language, prefix, "", "") for purpose, language in product(Purpose, Language))
    return max(segments(texts.compose(SAMPLE_CODE, context, CODE_LIFETIME)) for context in contexts)


def _budgets(plan: Plan | None) -> Iterator[PolicyLine]:
    if plan is not None:
        yield from (_budgeted(budget, plan.currency) for budget in plan.budgets)
    if plan is None or not any(budget.prefix == "+" for budget in plan.budgets):
        yield WITHOUT_BUDGET


WITHOUT_BUDGET = PolicyLine(
    topic="spend",
    name="spend.all",
    who="requests for codes from any number of networks",
    at_most=None,
    unit="messages in an hour",
    note='each network adds its own: set a budget for the prefix "+" (docs/operations/spending.md)',
)


def _budgeted(budget: Budget, currency: str) -> PolicyLine:
    return PolicyLine(
        topic="spend",
        name=f"spend.budget.{budget.prefix}",
        who=f"messages to {_numbers(budget)}, requested from any number of networks",
        at_most=min(limit for _, limit in budget.spans) / MICROS,
        unit=f"{currency} in an hour",
        note="a message that its budgets cannot pay is not sent; "
        f"{budget.known_percent} % of it pay only for callers who are known to their numbers",
    )


def _numbers(budget: Budget) -> str:
    return "all numbers" if budget.prefix == "+" else f"numbers with {budget.prefix}"


def _in_worst_hour(limit: Limit) -> int:
    """A limit that allows so many at once fills again within its period."""
    return limit.allowed + limit.allowed * 3600 // limit.period


def _bill(sends: Limit, config: SmsConfig) -> str:
    kept = _in_worst_hour(kept_for_known(sends))
    return f"{kept:,} of them by callers who are known to the number; {_priced(_in_worst_hour(sends) + kept, config)}"


def _priced(messages: int, config: SmsConfig) -> str:
    """What so many messages cost, by the prefixes that have a price."""
    currency = config.plan.currency if config.plan else ""
    prices = message_prices(config)
    costs = [f"{prefix}: {currency} {format_micros(messages * price)}" for prefix, price in prices.items()]
    return f"at most {', '.join(costs)}" if costs else "no prices in the settings file"
