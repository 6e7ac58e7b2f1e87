"""Which numbers may get a message right now: the stages in memory, and the few slots a minute of a throttled prefix."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from prometheus_client import Gauge

from shared.phone import E164
from sms_service.spending.plan import KINDS, SPANS, Plan
from sms_service.spending.policy import BUDGET_STAGE_NAMES, STAGE_NAMES, Stage
from sms_service.spending.prefixes import NumberPrefixes, prefixes_of
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED, BlockedError

INTERVAL_REFRESH_SECONDS = 1.0
LATE_SECONDS = 3.0
"""Requests of a stage's first seconds may have reached a process that did not know the stage yet."""

PREFIX_STAGES = Gauge("haoma_prefix_stages", "Prefixes in each stage", ["kind", "stage"])
BUDGET_STAGES = Gauge("haoma_budget_stages", "Budget windows in each stage", ["span", "stage"])
REFRESHED = Gauge("haoma_spending_refreshed_timestamp_seconds", "When this process last read the stages")


@dataclass(frozen=True)
class PrefixState:
    """A scope in a stage: for how many seconds already, and for how many more."""

    scope: str
    stage: Stage
    lasted: float
    left: float

    @property
    def kind(self) -> str:
        """One of ``KINDS`` for a prefix, one of ``SPANS`` for a budget."""
        return self.scope.partition(":")[0]


class StageRepository(Protocol):
    """Where the stages are stored."""

    async def state(self) -> Sequence[PrefixState]: ...
    async def admit(self, scope: str, per_minute: int) -> float: ...
    async def give_back(self, scope: str) -> None: ...


@dataclass(frozen=True)
class _Period:
    """When a stage began and when it ends, by this process's clock."""

    began: float
    ends: float


class SpendingGate:
    """The stages as one process knows them: as of its last refresh."""

    def __init__(self, repository: StageRepository, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self._repository = repository
        self._rules = plan.rules
        self._enforced = plan.enforced
        self._clock = clock
        self._blocked: dict[str, _Period] = {}
        self._exhausted: dict[str, _Period] = {}
        self._reserved: dict[str, _Period] = {}
        self._throttled: dict[str, _Period] = {}
        self._full_until: dict[str, float] = {}

    def prefixes(self, number: E164) -> NumberPrefixes:
        """The prefixes that a number's verified codes count towards."""
        return prefixes_of(number)

    async def refresh(self) -> None:
        """Read the stages. If that fails, those of the last refresh stay."""
        states = await self._repository.state()
        now = self._clock()
        self._blocked, self._exhausted, self._reserved, self._throttled = {}, {}, {}, {}
        for state in states:
            period = _Period(now - state.lasted, now + state.left)
            if state.kind not in KINDS:
                self._refresh_budget(state, period)
            elif self._enforced and state.stage is Stage.BLOCKED:
                self._blocked[state.scope] = period
            elif self._enforced and state.stage is Stage.THROTTLED:
                self._throttled[state.scope] = period
        self._full_until = {scope: until for scope, until in self._full_until.items() if until > now}
        _set_gauges(states)

    def _refresh_budget(self, state: PrefixState, period: _Period) -> None:
        prefix = state.scope.partition(":")[2]
        periods = {Stage.BLOCKED: self._exhausted, Stage.THROTTLED: self._reserved}.get(state.stage)
        if periods is not None:
            periods[prefix] = max(period, periods.get(prefix, period), key=lambda each: each.ends)

    def refuse_blocked(self, number: E164, *, is_known: bool = False) -> None:
        """Raise ``BlockedError`` if a prefix of the number is blocked or a budget of it is exhausted.

        A caller who ``is_known`` to the number is refused for a whole budget only: strangers can have a prefix blocked,
        and use up what is not kept of a budget.
        """
        if self._blocked or self._exhausted or self._reserved:
            now = self._clock()
            until, reason = max(self._refusals(number, is_known=is_known), default=(now, ""))
            if until > now:
                raise BlockedError(math.ceil(until - now), reason)

    async def admit(self, number: E164) -> Sequence[str]:
        """Take a slot of each throttled prefix of a number. Raises ``BlockedError`` if one has none left this minute.

        Returns the slots, for ``give_back``.
        """
        return await self._admit([scope for scope, _ in self._throttled_scopes(number)])

    async def give_back(self, slots: Sequence[str]) -> None:
        """Free the slots of a message that will not be sent."""
        for scope in slots:
            await self._repository.give_back(scope)
            self._full_until.pop(scope, None)

    async def admit_queued(self, number: E164, age: timedelta, *, is_known: bool = False) -> None:
        """Raise ``BlockedError`` if a message that was requested ``age`` ago may not be sent now.

        A request that came after its prefix was throttled has taken its slot already, and takes no second one. One of a
        caller who ``is_known`` to the number takes none.
        """
        self.refuse_blocked(number, is_known=is_known)
        if is_known:
            return
        requested = self._clock() - age.total_seconds()
        throttled = self._throttled_scopes(number)
        await self._admit([scope for scope, period in throttled if period.began + LATE_SECONDS > requested])

    async def _admit(self, scopes: Sequence[str]) -> Sequence[str]:
        """Take a slot in each scope, or in none."""
        now = self._clock()
        if (left := max((self._full_until.get(scope, now) - now for scope in scopes), default=0.0)) > 0:
            raise BlockedError(math.ceil(left))
        for position, scope in enumerate(scopes):
            if wait := await self._repository.admit(scope, self._rules[scope.partition(":")[0]].per_minute):
                self._full_until[scope] = now + wait
                await self.give_back(scopes[:position])
                raise BlockedError(math.ceil(wait))
        return scopes

    def _refusals(self, number: E164, *, is_known: bool) -> list[tuple[float, str]]:
        """Until when a number is refused, and why: one pair for each reason."""
        budgets = [*self._exhausted.items(), *(() if is_known else self._reserved.items())]
        refusals = [(period.ends, BUDGET_EXHAUSTED) for prefix, period in budgets if number.startswith(prefix)]
        if self._blocked and not is_known:
            scopes = [scope for scope in _scopes(number) if scope in self._blocked]
            refusals += [(self._blocked[scope].ends, PREFIX_BLOCKED) for scope in scopes]
        return refusals

    def _throttled_scopes(self, number: E164) -> list[tuple[str, _Period]]:
        throttled = self._throttled
        return [(scope, throttled[scope]) for scope in _scopes(number) if scope in throttled] if throttled else []


class NoSpendingLimits:
    """The gate of a process whose settings file has no ``[spending]``: it refuses and counts nothing."""

    def prefixes(self, number: E164) -> NumberPrefixes | None:  # noqa: ARG002  every number has the same answer
        """None: verified codes are not counted."""
        return None

    def refuse_blocked(self, number: E164, *, is_known: bool = False) -> None:
        """Refuse nothing."""

    async def admit(self, number: E164) -> Sequence[str]:  # noqa: ARG002  as above
        """Take no slots."""
        return ()

    async def give_back(self, slots: Sequence[str]) -> None:
        """Do nothing: no slots were taken."""

    async def admit_queued(self, number: E164, age: timedelta, *, is_known: bool = False) -> None:
        """Refuse nothing."""


NO_SPENDING_LIMITS = NoSpendingLimits()


def _set_gauges(states: Sequence[PrefixState]) -> None:
    """Publish counts only: a label for each prefix would let attackers create any number of series."""
    counts = Counter((state.kind, state.stage) for state in states)
    for gauge, kinds, names in ((PREFIX_STAGES, KINDS, STAGE_NAMES), (BUDGET_STAGES, SPANS, BUDGET_STAGE_NAMES)):
        for kind in kinds:
            for stage, name in names.items():
                gauge.labels(kind, name).set(counts[kind, stage])
    REFRESHED.set_to_current_time()


def _scopes(number: E164) -> list[str]:
    return [f"{kind}:{prefix}" for kind, prefix in zip(KINDS, prefixes_of(number), strict=True)]
