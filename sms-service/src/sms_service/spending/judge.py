"""Judge what was spent and what came back, from time to time, and enter the stages that follow; each one is told."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import structlog

from shared.events import (
    Outgoing,
    SpendingFact,
    SpendingRecorded,
    SpendingResumed,
    SpendingSlowed,
    SpendingStopped,
    event,
)
from sms_service.facts import SOURCE
from sms_service.spending.money import Budget
from sms_service.spending.plan import KINDS, Plan
from sms_service.spending.policy import (
    SLOW_SECONDS,
    WINDOW_SECONDS,
    Counts,
    Held,
    Stage,
    deserved_by_money,
    steps,
    steps_of_money,
    stop_seconds,
)

JUDGE_SECONDS = 1.0
ALARMED_SECONDS = 0.1
REST = 20.0
"""With very many blocks a round takes a while: it shall not cost the database more than a twentieth of a core."""

_FACTS: Mapping[Stage, type[SpendingFact]] = {
    Stage.NONE: SpendingResumed,
    Stage.RECORD: SpendingRecorded,
    Stage.SLOW: SpendingSlowed,
    Stage.STOP: SpendingStopped,
}

log = structlog.get_logger()


@dataclass(frozen=True)
class Window:
    """What was spent so far in the running hour or day of a budget, and the price of what could not be paid, if any."""

    prefix: str
    span: str
    ends_in: timedelta
    spent: int
    wanted: int


@dataclass(frozen=True)
class Found:
    """What is to be judged, by scope (``block:+861380013``, ``hour:+86``)."""

    held: Mapping[str, Held]
    windows: Sequence[Window]
    counts: Mapping[str, Counts]


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


class JudgeBook(Protocol):
    """Where stages are kept. Each call is atomic."""

    async def open_budgets(self, budgets: Sequence[Budget]) -> None: ...
    async def take_turn(self, every: timedelta) -> bool: ...
    async def find(self, least: int, percent: int) -> Found: ...
    async def change(self, change: Change, told: Outgoing) -> bool: ...


class Judge:
    """Judges in one process at a time, every ``every`` seconds, and rests ``rest`` times as long as that takes.

    ``wake`` is called after something was told.
    """

    def __init__(
        self,
        book: JudgeBook,
        plan: Plan,
        wake: Callable[[], None],
        *,
        every: float = JUDGE_SECONDS,
        rest: float = REST,
    ) -> None:
        self._book = book
        self._plan = plan
        self._wake = wake
        self._every = every
        self._rest = rest
        self._took = 0.0
        reached = [min(rule.reached) for rule in plan.rules.values() if rule.reached]
        self._suspects = min(reached, default=1), max((rule.percent for rule in plan.rules.values()), default=0)

    async def judge(self, *, alarmed: bool = False) -> int:
        """One round, if it is this process's turn, sooner when ``alarmed``. Returns how many stages were entered."""
        every = min(self._every, ALARMED_SECONDS) if alarmed else self._every
        if not await self._book.take_turn(timedelta(seconds=max(every, self._took * self._rest))):
            return 0
        began = time.monotonic()
        await self._book.open_budgets(self._plan.budgets)
        found = await self._book.find(*self._suspects)
        entered = 0
        for change in (*self._by_money(found), *self._by_counts(found)):
            entered += await self._enter(change)
        self._took = time.monotonic() - began
        return entered

    async def resume(self, scope: str) -> bool:
        """Let a prefix go at once, its stops forgotten; False when it is in no stage, or somebody was quicker."""
        held = (await self._book.find(*self._suspects)).held.get(scope, Held())
        if held.stage is Stage.NONE:
            return False
        (change,) = self._changes(scope, replace(held, stops=0), [Stage.NONE], Counts())
        return await self._enter(change)

    async def _enter(self, change: Change) -> bool:
        if not await self._book.change(change, self._told(change)):
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
                least = max(window.wanted, self._plan.tariff.cheapest(window.prefix))
                stages = steps_of_money(
                    held, deserved_by_money(window.spent, most, least, self._plan.warn_percent, held)
                )
            seconds = math.ceil(window.ends_in.total_seconds())
            spent = Counts(micros=window.spent)
            yield from self._changes(scope, held, stages, spent, seconds=seconds, limit=most or 0)

    def _by_counts(self, found: Found) -> Iterator[Change]:
        for scope in sorted(found.counts.keys() | found.held.keys()):
            kind = scope.partition(":")[0]
            if (rule := self._plan.rules.get(kind)) is None:
                continue
            counts, held = found.counts.get(scope, Counts()), found.held.get(scope, Held())
            yield from self._changes(scope, held, steps(held, rule.deserved(counts), rule), counts)

    def _changes(
        self, scope: str, held: Held, stages: Sequence[Stage], counts: Counts, *, seconds: int = 0, limit: int = 0
    ) -> Iterator[Change]:
        for stage in stages:
            is_stop = stage is Stage.STOP
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
        if stage is Stage.STOP:
            return stop_seconds(self._plan.stop_seconds, held.stops)
        return {Stage.RECORD: WINDOW_SECONDS, Stage.SLOW: SLOW_SECONDS}.get(stage, 0)

    def _told(self, change: Change) -> Outgoing:
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
        return event(fact, source=SOURCE, subject=change.scope, version=change.version + 1)
