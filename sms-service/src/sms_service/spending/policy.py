"""When to flag, throttle or block a prefix, and when to warn about a budget: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

BUCKET_SECONDS = 300
"""Traffic is counted in buckets of five minutes, by the time of the request for the code."""
WINDOW_SECONDS = 3600
"""The policy looks at the traffic of the last hour."""
THROTTLE_SECONDS = 600
"""A prefix is throttled for at least this long: by then its codes have been verified or have expired."""
MAX_BLOCK_SECONDS = 86_400


class Stage(IntEnum):
    """What the service does about a prefix. A higher stage includes the lower ones."""

    NONE = 0
    FLAGGED = 1
    THROTTLED = 2
    BLOCKED = 3


STAGE_NAMES = {Stage.FLAGGED: "flagged", Stage.THROTTLED: "throttled", Stage.BLOCKED: "blocked"}
"""The stages of a prefix, as events, metrics and the command line name them."""
BUDGET_STAGE_NAMES = {Stage.FLAGGED: "warned", Stage.THROTTLED: "reserved", Stage.BLOCKED: "exhausted"}
"""The stages of a budget. One that is reserved pays only for callers who are known to their numbers."""


@dataclass(frozen=True)
class PrefixTraffic:
    """The messages of one prefix in the last hour, and how many of their codes were verified.

    Sends are *settled* once their codes have expired, and *young* before that. ``spent`` is in micros.
    """

    settled: int = 0
    settled_verified: int = 0
    young: int = 0
    young_verified: int = 0
    spent: int = 0

    @property
    def sent(self) -> int:
        return self.settled + self.young

    @property
    def verified(self) -> int:
        return self.settled_verified + self.young_verified

    @property
    def sample_size(self) -> int:
        """Sample size for the verification rate. A send whose code is still valid and unverified counts as one half."""
        verified = min(self.young, self.young_verified)
        return self.settled + verified + (self.young - verified) // 2


@dataclass(frozen=True)
class Rule:
    """How many sends lead to each stage if less than ``percent`` of them are verified. 0 switches a stage off.

    ``per_minute`` is how many messages a throttled prefix still gets.
    """

    flag: int
    throttle: int
    block: int
    per_minute: int
    percent: int

    @property
    def thresholds(self) -> list[int]:
        """The thresholds of the stages that are switched on."""
        return [sends for sends in (self.flag, self.throttle, self.block) if sends]

    @property
    def alarm_sends(self) -> int:
        """How many sends with codes that are still valid throttle a prefix if none is verified; 0 if no number does."""
        return self.throttle * 2

    def stage_for(self, traffic: PrefixTraffic) -> Stage:
        """The stage that the traffic alone calls for. Young sends can throttle a prefix; only settled ones block it."""
        if not self._is_low(traffic.sample_size, traffic.verified):
            return Stage.NONE
        if self._is_low(traffic.settled, traffic.settled_verified) and 0 < self.block <= traffic.settled:
            return Stage.BLOCKED
        if 0 < self.throttle <= traffic.sample_size:
            return Stage.THROTTLED
        return Stage.FLAGGED if 0 < self.flag <= traffic.sample_size else Stage.NONE

    def _is_low(self, sent: int, verified: int) -> bool:
        return verified * 100 < sent * self.percent


@dataclass(frozen=True)
class CurrentStage:
    """The stage of a scope as it is stored.

    ``expired``: the stage has lasted its time. ``blocks``: how often the scope was blocked within a week. ``version``
    counts the changes of the scope.
    """

    stage: Stage = Stage.NONE
    expired: bool = True
    blocks: int = 0
    version: int = 0


def next_stages(current: CurrentStage, wanted: Stage, rule: Rule) -> Sequence[Stage]:
    """The stages that a prefix enters now, one by one, if its traffic calls for ``wanted``; none if nothing changes.

    A block lasts its full time and is followed by throttling, with the earlier traffic forgotten: the few messages
    that pass show whether the attack goes on.
    """
    if current.stage is Stage.BLOCKED:
        return [Stage.THROTTLED if rule.throttle else Stage.NONE] if current.expired else []
    if wanted > current.stage:
        return [Stage(value) for value in range(current.stage + 1, wanted + 1)]
    return [wanted] if wanted < current.stage and current.expired else []


def block_seconds(first: int, blocks: int) -> int:
    """How long to block a prefix that was blocked ``blocks`` times before: twice as long each time, a day at most."""
    return min(first << blocks, MAX_BLOCK_SECONDS)


@dataclass(frozen=True)
class BudgetUse:
    """A window of a budget, in micros: what was spent, its limit, and what of that is ``kept`` for known callers.

    ``cheapest`` is the price of the cheapest message.
    """

    spent: int
    limit: int
    cheapest: int
    kept: int = 0

    def is_used_up(self, kept: int, *, was_used_up: bool) -> bool:
        """Whether all but what is kept is spent: the rest cannot pay the cheapest message.

        Refunds within a window reopen a budget only once a twentieth of it is free, so that its stage does not change
        with every message.
        """
        free = self.limit - kept - self.spent
        return free < max(1, self.cheapest) or (was_used_up and free * 20 < self.limit)


def budget_stage(use: BudgetUse, warn_percent: int, current: CurrentStage) -> Stage:
    """The stage that a budget calls for."""
    lasting = Stage.NONE if current.expired else current.stage
    if use.is_used_up(0, was_used_up=lasting is Stage.BLOCKED):
        return Stage.BLOCKED
    if use.kept and use.is_used_up(use.kept, was_used_up=lasting >= Stage.THROTTLED):
        return Stage.THROTTLED
    return Stage.FLAGGED if use.spent * 100 >= use.limit * warn_percent else Stage.NONE


def next_budget_stages(current: CurrentStage, wanted: Stage) -> Sequence[Stage]:
    """The stages that a budget enters now, one by one.

    ``current.expired`` means that the window of the stage has ended: the budget is renewed first, and the next round
    looks at the new window.
    """
    if current.expired and current.stage is not Stage.NONE:
        return [Stage.NONE]
    if wanted > current.stage:
        return [stage for stage in sorted({Stage.FLAGGED, wanted}) if current.stage < stage]
    return [wanted] if wanted < current.stage else []
