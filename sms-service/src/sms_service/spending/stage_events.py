"""The events that announce the stages of prefixes and budgets."""

from collections.abc import Mapping

from shared.events.catalogue import (
    BudgetData,
    BudgetExhausted,
    BudgetRenewed,
    BudgetReserved,
    BudgetWarned,
    PrefixBlocked,
    PrefixCleared,
    PrefixData,
    PrefixFlagged,
    PrefixThrottled,
)
from shared.events.envelope import EventData
from sms_service.spending.money import BudgetWindow
from sms_service.spending.plan import Plan
from sms_service.spending.policy import PrefixTraffic, Stage

_PREFIX_EVENTS: Mapping[Stage, type[PrefixData]] = {
    Stage.NONE: PrefixCleared,
    Stage.FLAGGED: PrefixFlagged,
    Stage.THROTTLED: PrefixThrottled,
    Stage.BLOCKED: PrefixBlocked,
}
_BUDGET_EVENTS: Mapping[Stage, type[BudgetData]] = {
    Stage.NONE: BudgetRenewed,
    Stage.FLAGGED: BudgetWarned,
    Stage.THROTTLED: BudgetReserved,
    Stage.BLOCKED: BudgetExhausted,
}


def prefix_event(plan: Plan, scope: str, stage: Stage, traffic: PrefixTraffic, seconds: int) -> PrefixData:
    """The event for a stage of a prefix that lasts at least ``seconds``."""
    kind, _, prefix = scope.partition(":")
    return _PREFIX_EVENTS[stage].model_validate(
        {
            "scope": scope,
            "kind": kind,
            "prefix": prefix,
            "sent": traffic.sent,
            "verified": traffic.verified,
            "spent_micros": traffic.spent,
            "currency": plan.currency,
            "enforced": plan.enforced,
            "seconds": seconds,
        }
    )


def budget_event(plan: Plan, window: BudgetWindow, stage: Stage, seconds: int) -> BudgetData:
    """The event for a stage of a budget whose window ends in ``seconds``."""
    return _BUDGET_EVENTS[stage].model_validate(
        {
            "scope": window.scope,
            "prefix": window.prefix,
            "span": window.span,
            "spent_micros": window.spent,
            "limit_micros": plan.limits.get((window.prefix, window.span), 0),
            "currency": plan.currency,
            "seconds": seconds,
        }
    )


def log_name(event: EventData) -> str:
    """The event's name in the log, such as ``prefix.blocked`` for ``sms.prefix.blocked.v1``."""
    return event.key.removeprefix("sms.").removesuffix(".v1")
