"""Who may not be sent to right now: a view of the stages in memory, and the few a minute of a slowed prefix."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from prometheus_client import Gauge

from shared.phone import E164
from sms_service.spending import StoppedError
from sms_service.spending.areas import Area, area_of
from sms_service.spending.plan import KINDS, Plan
from sms_service.spending.policy import Stage

REFRESH_SECONDS = 1.0
LATE_SECONDS = 3.0
"""What was asked for in the first moments of a stage may have been asked where it was not yet known."""

STAGES = Gauge("haoma_spending_stage", "Stage of a prefix: 1 recorded, 2 slowed, 3 stopped", ["kind", "prefix"])
REFRESHED = Gauge("haoma_spending_refreshed_timestamp_seconds", "When the stages were last read")


@dataclass(frozen=True)
class Standing:
    """A scope in a stage: since how many seconds, and for how many more."""

    scope: str
    stage: Stage
    lasted: float
    left: float


class StageBook(Protocol):
    """Where stages are kept."""

    async def standing(self) -> Sequence[Standing]: ...
    async def admit(self, scope: str, per_minute: int) -> float: ...


@dataclass(frozen=True)
class _Since:
    """The two ends of a stage by this process's clock."""

    began: float
    ends: float


class Watch:
    """The view of one process. It is as old as the last time that it was refreshed."""

    def __init__(self, book: StageBook, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self._book = book
        self._rules = plan.rules
        self._enforced = plan.enforced
        self._clock = clock
        self._stopped: dict[str, _Since] = {}
        self._broke: dict[str, _Since] = {}
        self._slowed: dict[str, _Since] = {}
        self._full: dict[str, float] = {}
        self._shown: set[tuple[str, str]] = set()

    def area(self, number: E164) -> Area:
        """Where what comes back of a number is counted."""
        return area_of(number)

    async def refresh(self) -> None:
        """Read the stages anew. When that fails the view stays as it is."""
        standing = await self._book.standing()
        now = self._clock()
        self._stopped, self._broke, self._slowed = {}, {}, {}
        for one in standing:
            kind, _, prefix = one.scope.partition(":")
            since = _Since(now - one.lasted, now + one.left)
            if kind not in KINDS:
                if one.stage is Stage.STOP:
                    self._broke[prefix] = max(since, self._broke.get(prefix, since), key=lambda other: other.ends)
            elif self._enforced and one.stage is Stage.STOP:
                self._stopped[one.scope] = since
            elif self._enforced and one.stage is Stage.SLOW:
                self._slowed[one.scope] = since
        self._full = {scope: until for scope, until in self._full.items() if until > now}
        self._show(standing)

    def refuse_stopped(self, number: E164) -> None:
        """Raise ``StoppedError`` for a number with a stopped prefix, or without money."""
        if self._stopped or self._broke:
            now = self._clock()
            left = max((since.ends - now for since in self._ends(number)), default=0.0)
            if left > 0:
                raise StoppedError(math.ceil(left))

    async def admit(self, number: E164) -> None:
        """Count one more message to a slowed prefix. Raises ``StoppedError`` when this minute's are used up."""
        for scope, _ in self._slow(number):
            await self._admit(scope)

    async def admits_queued(self, number: E164, age: timedelta) -> bool:
        """Whether a message may go that was asked for so long ago. Who asked after the slowing was counted then."""
        try:
            self.refuse_stopped(number)
            for scope, since in self._slow(number):
                if age.total_seconds() > self._clock() - since.began - LATE_SECONDS:
                    await self._admit(scope)
        except StoppedError:
            return False
        return True

    async def _admit(self, scope: str) -> None:
        now = self._clock()
        if (until := self._full.get(scope, 0.0)) > now:
            raise StoppedError(math.ceil(until - now))
        if wait := await self._book.admit(scope, self._rules[scope.partition(":")[0]].per_minute):
            self._full[scope] = now + wait
            raise StoppedError(math.ceil(wait))

    def _ends(self, number: E164) -> list[_Since]:
        ends = [since for prefix, since in self._broke.items() if number.startswith(prefix)]
        if self._stopped:
            ends += [self._stopped[scope] for scope in _scopes(number) if scope in self._stopped]
        return ends

    def _slow(self, number: E164) -> list[tuple[str, _Since]]:
        slowed = self._slowed
        return [(scope, slowed[scope]) for scope in _scopes(number) if scope in slowed] if slowed else []

    def _show(self, standing: Sequence[Standing]) -> None:
        shown = set()
        for one in standing:
            kind, _, prefix = one.scope.partition(":")
            STAGES.labels(kind, prefix).set(one.stage)
            shown.add((kind, prefix))
        for gone in self._shown - shown:
            STAGES.remove(*gone)
        self._shown = shown
        REFRESHED.set_to_current_time()


class Unwatched:
    """Nothing is said of spending: nobody is stopped and nothing is counted."""

    def area(self, number: E164) -> Area | None:  # noqa: ARG002  whoever it is
        """Nowhere."""
        return None

    def refuse_stopped(self, number: E164) -> None:
        """Whoever it is."""

    async def admit(self, number: E164) -> None:
        """Whoever it is."""

    async def admits_queued(self, number: E164, age: timedelta) -> bool:  # noqa: ARG002  as above
        """Always."""
        return True


UNWATCHED = Unwatched()


def _scopes(number: E164) -> list[str]:
    return [f"{kind}:{prefix}" for kind, prefix in zip(KINDS, area_of(number), strict=True)]
