"""Reviews budgets and prefixes once a second, enters the stages that follow, and publishes an event for each."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import structlog

from shared.events.envelope import EventData, OutboxMessage, new_event
from sms_service.events import SOURCE
from sms_service.spending.money import Budget, BudgetWindow
from sms_service.spending.plan import Plan
from sms_service.spending.policy import (
    THROTTLE_SECONDS,
    WINDOW_SECONDS,
    BudgetUse,
    CurrentStage,
    PrefixTraffic,
    Stage,
    block_seconds,
    budget_stage,
    next_budget_stages,
    next_stages,
)
from sms_service.spending.stage_events import budget_event, log_name, prefix_event

INTERVAL_REVIEW_SECONDS = 1.0
INTERVAL_ALARM_SECONDS = 0.1
REST_FACTOR = 20.0
"""With very many ranges the count takes a while: the monitor then rests, so as to use a twentieth of a core at most."""
MAX_REST_SECONDS = 5.0
"""The longest rest, even if the count never ends: no attack goes unseen for longer."""

_LOGGED = {"scope", "sent", "verified", "spent_micros", "seconds"}

log = structlog.get_logger()


@dataclass(frozen=True)
class SpendingState:
    """The stored stages, by scope (``range:+861380013``, ``hour:+86``), and the windows of all budgets."""

    stages: Mapping[str, CurrentStage]
    windows: Sequence[BudgetWindow]


@dataclass(frozen=True)
class StageChange:
    """A stage to enter for ``seconds``, decided on version ``version`` of the scope; ``event`` announces it."""

    scope: str
    stage: Stage
    seconds: int
    blocks: int
    version: int
    event: EventData


class StageChangeRepository(Protocol):
    """Where stages, budgets and traffic are stored. Each call is atomic.

    ``change`` does nothing and returns False if the scope has another version by then.
    """

    async def open_budgets(self, budgets: Sequence[Budget]) -> None: ...
    async def take_lease(self, interval: timedelta) -> bool: ...
    async def find(self) -> SpendingState: ...
    async def traffic(self, min_sent: int, percent: int) -> Mapping[str, PrefixTraffic]: ...
    async def change(self, change: StageChange, event: OutboxMessage) -> bool: ...


class PrefixMonitor:
    """Runs in one process at a time, every ``interval`` seconds.

    After a count it rests ``rest_factor`` times as long as the count took. ``wake`` is called after a message was
    committed to the outbox. ``clock`` gives seconds.
    """

    def __init__(
        self,
        repository: StageChangeRepository,
        plan: Plan,
        wake: Callable[[], None],
        *,
        interval: float = INTERVAL_REVIEW_SECONDS,
        rest_factor: float = REST_FACTOR,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._plan = plan
        self._wake = wake
        self._interval = interval
        self._rest_factor = rest_factor
        self._clock = clock
        self._rest_seconds = 0.0
        lowest = [min(rule.thresholds) for rule in plan.rules.values() if rule.thresholds]
        self._min_sent = min(lowest, default=1)
        self._percent = max((rule.percent for rule in plan.rules.values()), default=0)

    async def review(self, *, alarmed: bool = False) -> int:
        """Review everything once, if this process gets the lease; ``alarmed`` shortens the interval.

        Returns how many stages it entered. Budgets come first, so they have their stages even if the count fails.
        """
        interval = min(self._interval, INTERVAL_ALARM_SECONDS) if alarmed else self._interval
        if not await self._repository.take_lease(timedelta(seconds=max(interval, self._rest_seconds))):
            return 0
        await self._repository.open_budgets(self._plan.budgets)
        state = await self._repository.find()
        entered = await self._enter_all(self._budget_changes(state))
        traffic = await self._count()
        return entered + await self._enter_all(self._prefix_changes(state.stages, traffic))

    async def unblock(self, scope: str) -> bool:
        """End the stage of a prefix at once and forget its earlier blocks. False if it is in no stage."""
        current = (await self._repository.find()).stages.get(scope, CurrentStage())
        if current.stage is Stage.NONE:
            return False
        forgiven = replace(current, blocks=0)
        return bool(await self._enter_all(self._changes_of_prefix(scope, forgiven, [Stage.NONE], PrefixTraffic())))

    async def _count(self) -> Mapping[str, PrefixTraffic]:
        began = self._clock()
        try:
            return await self._repository.traffic(self._min_sent, self._percent)
        finally:
            self._rest_seconds = min((self._clock() - began) * self._rest_factor, MAX_REST_SECONDS)

    async def _enter_all(self, changes: Iterable[StageChange]) -> int:
        return sum([await self._enter(change) for change in changes])

    async def _enter(self, change: StageChange) -> bool:
        event = new_event(change.event, source=SOURCE, subject=change.scope, version=change.version + 1)
        if not await self._repository.change(change, event):
            return False
        self._wake()
        facts = change.event.model_dump(include=_LOGGED)
        facts["scope"] = facts["scope"].replace("+", "")  # with its plus sign, a log would blank a prefix like a number
        log.warning(log_name(change.event), **facts)
        return True

    def _budget_changes(self, state: SpendingState) -> Iterator[StageChange]:
        for window in state.windows:
            current = state.stages.get(window.scope, CurrentStage())
            seconds = math.ceil(window.ends_in.total_seconds())
            for stage, before in _one_by_one(current, self._budget_stages(window, current)):
                event = budget_event(self._plan, window, stage, seconds)
                yield _change(window.scope, stage, before, seconds, event)

    def _budget_stages(self, window: BudgetWindow, current: CurrentStage) -> Sequence[Stage]:
        key = (window.prefix, window.span)
        limit = self._plan.limits.get(key)
        if limit is None:  # the budget has left the settings file, and its stage ends with it
            return [Stage.NONE] if current.stage else []
        kept = limit - self._plan.limits_of_strangers[key]
        use = BudgetUse(window.spent, limit, self._plan.tariff.cheapest(window.prefix), kept)
        return next_budget_stages(current, budget_stage(use, self._plan.warn_percent, current))

    def _prefix_changes(
        self, stages: Mapping[str, CurrentStage], suspects: Mapping[str, PrefixTraffic]
    ) -> Iterator[StageChange]:
        for scope in sorted(suspects.keys() | stages.keys()):
            if (rule := self._plan.rules.get(scope.partition(":")[0])) is None:
                continue  # the scope of a budget
            traffic, current = suspects.get(scope, PrefixTraffic()), stages.get(scope, CurrentStage())
            entered = next_stages(current, rule.stage_for(traffic), rule)
            yield from self._changes_of_prefix(scope, current, entered, traffic)

    def _changes_of_prefix(
        self, scope: str, current: CurrentStage, stages: Sequence[Stage], traffic: PrefixTraffic
    ) -> Iterator[StageChange]:
        for stage, before in _one_by_one(current, stages):
            seconds = self._stage_seconds(stage, before)
            event = prefix_event(self._plan, scope, stage, traffic, seconds)
            yield _change(scope, stage, before, seconds, event)

    def _stage_seconds(self, stage: Stage, before: CurrentStage) -> int:
        if stage is Stage.BLOCKED:
            return block_seconds(self._plan.block_seconds, before.blocks)
        return {Stage.FLAGGED: WINDOW_SECONDS, Stage.THROTTLED: THROTTLE_SECONDS}.get(stage, 0)


def _one_by_one(current: CurrentStage, stages: Sequence[Stage]) -> Iterator[tuple[Stage, CurrentStage]]:
    """Each stage, with the stored one that it replaces."""
    for stage in stages:
        yield stage, current
        current = replace(current, stage=stage, version=current.version + 1)


def _change(scope: str, stage: Stage, before: CurrentStage, seconds: int, event: EventData) -> StageChange:
    blocks = before.blocks + (stage is Stage.BLOCKED)
    return StageChange(scope, stage, seconds, blocks, before.version, event)
