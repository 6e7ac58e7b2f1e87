"""Who may not be sent to right now: a view of the stages in memory, and the few a minute of a slowed prefix."""

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
from sms_service.spending.policy import STAGE_NAMES, Stage
from sms_service.spending.prefixes import NumberPrefixes, prefixes_of
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED, BlockedError

REFRESH_SECONDS = 1.0
LATE_SECONDS = 3.0
"""What was asked for in the first moments of a stage may have been asked where it was not yet known."""

STAGES = Gauge("haoma_spending_stages", "How many prefixes are in a stage", ["kind", "stage"])
REFRESHED = Gauge("haoma_spending_refreshed_timestamp_seconds", "When the stages were last read")


@dataclass(frozen=True)
class PrefixState:
    """A scope in a stage: since how many seconds, and for how many more."""

    scope: str
    stage: Stage
    lasted: float
    left: float


class StageRepository(Protocol):
    """Where stages are kept."""

    async def state(self) -> Sequence[PrefixState]: ...
    async def admit(self, scope: str, per_minute: int) -> float: ...
    async def give_back(self, scope: str) -> None: ...


@dataclass(frozen=True)
class _Since:
    """The two ends of a stage by this process's clock."""

    began: float
    ends: float


class SpendingGate:
    """The view of one process. It is as old as the last time that it was refreshed."""

    def __init__(self, repository: StageRepository, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self._repository = repository
        self._rules = plan.rules
        self._enforced = plan.enforced
        self._clock = clock
        self._stopped: dict[str, _Since] = {}
        self._broke: dict[str, _Since] = {}
        self._slowed: dict[str, _Since] = {}
        self._full: dict[str, float] = {}

    def area(self, number: E164) -> NumberPrefixes:
        """Where what comes back of a number is counted."""
        return prefixes_of(number)

    async def refresh(self) -> None:
        """Read the stages anew. When that fails the view stays as it is."""
        state = await self._repository.state()
        now = self._clock()
        self._stopped, self._broke, self._slowed = {}, {}, {}
        for one in state:
            kind, _, prefix = one.scope.partition(":")
            since = _Since(now - one.lasted, now + one.left)
            if kind not in KINDS:
                if one.stage is Stage.BLOCKED:
                    self._broke[prefix] = max(since, self._broke.get(prefix, since), key=lambda other: other.ends)
            elif self._enforced and one.stage is Stage.BLOCKED:
                self._stopped[one.scope] = since
            elif self._enforced and one.stage is Stage.THROTTLED:
                self._slowed[one.scope] = since
        self._full = {scope: until for scope, until in self._full.items() if until > now}
        _show(state)

    def refuse_blocked(self, number: E164) -> None:
        """Raise ``BlockedError`` for a number with a stopped prefix, or without money."""
        if self._stopped or self._broke:
            now = self._clock()
            until, why = max(self._ends(number), default=(now, ""))
            if until > now:
                raise BlockedError(math.ceil(until - now), why)

    async def admit(self, number: E164) -> Sequence[str]:
        """Count one more message to a slowed prefix, and tell where. Raises ``BlockedError`` when a minute is full."""
        return await self._admit([scope for scope, _ in self._slow(number)])

    async def give_back(self, slots: Sequence[str]) -> None:
        """Take back what ``admit`` counted for a message that will not be sent."""
        for scope in slots:
            await self._repository.give_back(scope)
            self._full.pop(scope, None)

    async def admit_queued(self, number: E164, age: timedelta) -> None:
        """Raise ``BlockedError`` if a message may not go that was asked for so long ago.

        Who asked after the slowing was counted then.
        """
        self.refuse_blocked(number)
        asked = self._clock() - age.total_seconds()
        await self._admit([scope for scope, since in self._slow(number) if since.began + LATE_SECONDS > asked])

    async def _admit(self, scopes: Sequence[str]) -> Sequence[str]:
        """A place in each scope, or none at all."""
        now = self._clock()
        if (left := max((self._full.get(scope, now) - now for scope in scopes), default=0.0)) > 0:
            raise BlockedError(math.ceil(left))
        for position, scope in enumerate(scopes):
            if wait := await self._repository.admit(scope, self._rules[scope.partition(":")[0]].per_minute):
                self._full[scope] = now + wait
                await self.give_back(scopes[:position])
                raise BlockedError(math.ceil(wait))
        return scopes

    def _ends(self, number: E164) -> list[tuple[float, str]]:
        """Until when a number is refused, and why, once for each reason."""
        ends = [(since.ends, BUDGET_EXHAUSTED) for prefix, since in self._broke.items() if number.startswith(prefix)]
        if self._stopped:
            ends += [(self._stopped[one].ends, PREFIX_BLOCKED) for one in _scopes(number) if one in self._stopped]
        return ends

    def _slow(self, number: E164) -> list[tuple[str, _Since]]:
        slowed = self._slowed
        return [(scope, slowed[scope]) for scope in _scopes(number) if scope in slowed] if slowed else []


class NoSpendingLimits:
    """Nothing is said of spending: nobody is stopped and nothing is counted."""

    def area(self, number: E164) -> NumberPrefixes | None:  # noqa: ARG002  whoever it is
        """Nowhere."""
        return None

    def refuse_blocked(self, number: E164) -> None:
        """Whoever it is."""

    async def admit(self, number: E164) -> Sequence[str]:  # noqa: ARG002  as above
        """Whoever it is."""
        return ()

    async def give_back(self, slots: Sequence[str]) -> None:
        """Nothing was counted."""

    async def admit_queued(self, number: E164, age: timedelta) -> None:
        """Whoever it is."""


NO_SPENDING_LIMITS = NoSpendingLimits()


def _show(state: Sequence[PrefixState]) -> None:
    """Counts only: who chooses the numbers would choose the series. Events and the command name the prefixes."""
    there = Counter((one.scope.partition(":")[0], one.stage) for one in state)
    for kind in (*KINDS, *SPANS):
        for stage, name in STAGE_NAMES.items():
            STAGES.labels(kind, name).set(there[kind, stage])
    REFRESHED.set_to_current_time()


def _scopes(number: E164) -> list[str]:
    return [f"{kind}:{prefix}" for kind, prefix in zip(KINDS, prefixes_of(number), strict=True)]
