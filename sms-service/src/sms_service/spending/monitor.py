"""Judge what was spent and what came back, from time to time, and enter the stages that follow; each one is told."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import structlog

from shared.events import (
    OutboxMessage,
    SpendingFact,
    SpendingRecorded,
    SpendingResumed,
    SpendingSlowed,
    SpendingStopped,
    new_event,
)
from sms_service.events import SOURCE
from sms_service.spending.money import Budget
from sms_service.spending.plan import KINDS, Plan
from sms_service.spending.policy import (
    THROTTLE_SECONDS,
    WINDOW_SECONDS,
    Counts,
    Held,
    Stage,
    block_seconds,
    deserved_by_money,
    steps,
    steps_of_money,
)

JUDGE_SECONDS = 1.0
ALARMED_SECONDS = 0.1
REST = 20.0
"""With very many blocks counting takes a while: it shall not cost the database more than a twentieth of a core."""
MAX_REST_SECONDS = 5.0
"""However long counting takes, or fails to come to an end: nobody may pump unseen for longer."""

_FACTS: Mapping[Stage, type[SpendingFact]] = {
    Stage.NONE: SpendingResumed,
    Stage.FLAGGED: SpendingRecorded,
    Stage.THROTTLED: SpendingSlowed,
    Stage.BLOCKED: SpendingStopped,
}

log = structlog.get_logger()


@dataclass(frozen=True)
class Window:
    """What was spent so far in the running hour or day of a budget."""

    prefix: str
    span: str
    ends_in: timedelta
    spent: int


@dataclass(frozen=True)
class Found:
    """The stages that there are, by scope (``range:+861380013``, ``hour:+86``), and the windows of all budgets."""

    held: Mapping[str, Held]
    windows: Sequence[Window]


@dataclass(frozen=True)
class Change:
    """A stage to enter, from the ``version`` of the scope that it was decided upon."""

    scope: str
    stage: Stage
    seconds: int
    stops: int
    version: int
    counts: Counts
    limit: int


class PrefixRepository(Protocol):
    """Where stages are kept. Each call is atomic."""

    async def open_budgets(self, budgets: Sequence[Budget]) -> None: ...
    async def take_turn(self, every: timedelta) -> bool: ...
    async def find(self) -> Found: ...
    async def counts(self, least: int, percent: int) -> Mapping[str, Counts]: ...
    async def change(self, change: Change, told: OutboxMessage) -> bool: ...


class PrefixMonitor:
    """Judges in one process at a time, every ``every`` seconds, and rests ``rest`` times as long as counting takes.

    ``wake`` is called after something was told. ``clock`` gives seconds.
    """

    def __init__(
        self,
        repository: PrefixRepository,
        plan: Plan,
        wake: Callable[[], None],
        *,
        every: float = JUDGE_SECONDS,
        rest: float = REST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._plan = plan
        self._wake = wake
        self._every = every
        self._rest = rest
        self._clock = clock
        self._resting = 0.0
        reached = [min(rule.reached) for rule in plan.rules.values() if rule.reached]
        self._suspects = min(reached, default=1), max((rule.percent for rule in plan.rules.values()), default=0)

    async def judge(self, *, alarmed: bool = False) -> int:
        """One round, if it is this process's turn, sooner when ``alarmed``. Returns how many stages were entered.

        Budgets come first, and have their stages even when there is too much to count.
        """
        every = min(self._every, ALARMED_SECONDS) if alarmed else self._every
        if not await self._repository.take_turn(timedelta(seconds=max(every, self._resting))):
            return 0
        await self._repository.open_budgets(self._plan.budgets)
        found = await self._repository.find()
        entered = await self._enter_all(self._by_money(found))
        counts = await self._count()
        return entered + await self._enter_all(self._by_counts(found.held, counts))

    async def _count(self) -> Mapping[str, Counts]:
        began = self._clock()
        try:
            return await self._repository.counts(*self._suspects)
        finally:
            self._resting = min((self._clock() - began) * self._rest, MAX_REST_SECONDS)

    async def resume(self, scope: str) -> bool:
        """Let a prefix go at once, its stops forgotten; False when it is in no stage, or somebody was quicker."""
        held = (await self._repository.find()).held.get(scope, Held())
        if held.stage is Stage.NONE:
            return False
        (change,) = self._changes(scope, replace(held, stops=0), [Stage.NONE], Counts())
        return await self._enter(change)

    async def _enter_all(self, changes: Iterable[Change]) -> int:
        return sum([await self._enter(change) for change in changes])

    async def _enter(self, change: Change) -> bool:
        if not await self._repository.change(change, self._told(change)):
            return False
        self._wake()
        log.warning(
            "spending.stage",
            scope=change.scope,
            stage=change.stage.name.lower(),
            sent=change.counts.sent,
            verified=change.counts.verified,
            spent_micros=change.counts.micros,
        )
        return True

    def _by_money(self, found: Found) -> Iterator[Change]:
        limits = {f"{span}:{budget.prefix}": most for budget in self._plan.budgets for span, most in budget.spans}
        for window in found.windows:
            scope = f"{window.span}:{window.prefix}"
            held = found.held.get(scope, Held())
            most = limits.get(scope)
            if most is None:  # it has left the settings file, and takes its stage with it
                stages: Sequence[Stage] = [Stage.NONE] if held.stage else []
            else:
                least = self._plan.tariff.cheapest(window.prefix)
                stages = steps_of_money(
                    held, deserved_by_money(window.spent, most, least, self._plan.warn_percent, held)
                )
            seconds = math.ceil(window.ends_in.total_seconds())
            spent = Counts(micros=window.spent)
            yield from self._changes(scope, held, stages, spent, seconds=seconds, limit=most or 0)

    def _by_counts(self, stages: Mapping[str, Held], suspects: Mapping[str, Counts]) -> Iterator[Change]:
        for scope in sorted(suspects.keys() | stages.keys()):
            kind = scope.partition(":")[0]
            if (rule := self._plan.rules.get(kind)) is None:
                continue
            counts, held = suspects.get(scope, Counts()), stages.get(scope, Held())
            yield from self._changes(scope, held, steps(held, rule.deserved(counts), rule), counts)

    def _changes(
        self, scope: str, held: Held, stages: Sequence[Stage], counts: Counts, *, seconds: int = 0, limit: int = 0
    ) -> Iterator[Change]:
        for stage in stages:
            is_stop = stage is Stage.BLOCKED
            yield Change(
                scope=scope,
                stage=stage,
                seconds=seconds or self._seconds(stage, held),
                stops=held.stops + is_stop,
                version=held.version,
                counts=counts,
                limit=limit,
            )
            held = replace(held, version=held.version + 1)

    def _seconds(self, stage: Stage, held: Held) -> int:
        if stage is Stage.BLOCKED:
            return block_seconds(self._plan.block_seconds, held.stops)
        return {Stage.FLAGGED: WINDOW_SECONDS, Stage.THROTTLED: THROTTLE_SECONDS}.get(stage, 0)

    def _told(self, change: Change) -> OutboxMessage:
        kind, _, prefix = change.scope.partition(":")
        fact = _FACTS[change.stage](
            scope=change.scope,
            kind=kind,
            prefix=prefix,
            sent=change.counts.sent,
            verified=change.counts.verified,
            spent_micros=change.counts.micros,
            limit_micros=change.limit,
            currency=self._plan.currency,
            enforced=kind not in KINDS or self._plan.enforced,
            seconds=change.seconds,
        )
        return new_event(fact, source=SOURCE, subject=change.scope, version=change.version + 1)
