"""When a prefix is recorded, slowed or stopped: pure functions of what was sent, verified and spent."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

BUCKET_SECONDS = 300
"""Sends are counted by five minutes; with the life of a code, those of ten minutes ago are settled."""
WINDOW_SECONDS = 3600
"""How far back a prefix is judged."""
THROTTLE_SECONDS = 600
"""A slowed prefix stays so at least as long: it takes that to see whether its codes come back."""
MAX_BLOCK_SECONDS = 86_400


class Stage(IntEnum):
    """What is done about a prefix; each one includes those before it."""

    NONE = 0
    FLAGGED = 1
    THROTTLED = 2
    BLOCKED = 3


STAGE_NAMES = {Stage.FLAGGED: "recorded", Stage.THROTTLED: "slowed", Stage.BLOCKED: "stopped"}
"""What people and metrics call them."""


@dataclass(frozen=True)
class Counts:
    """The last hour of a prefix. Codes that still live are young: they may yet be verified."""

    settled: int = 0
    settled_verified: int = 0
    young: int = 0
    young_verified: int = 0
    micros: int = 0

    @property
    def sent(self) -> int:
        return self.settled + self.young

    @property
    def verified(self) -> int:
        return self.settled_verified + self.young_verified

    @property
    def weight(self) -> int:
        """How many sends speak for or against it: one that is young and not verified is half a failure."""
        waiting = max(0, self.young - self.young_verified)
        return self.settled + min(self.young, self.young_verified) + waiting // 2


@dataclass(frozen=True)
class Rule:
    """From how many sends on each stage is entered, while less than ``percent`` of them are verified; 0 is never.

    ``per_minute`` is what a slowed prefix is still given.
    """

    record: int
    slow: int
    stop: int
    per_minute: int
    percent: int

    @property
    def reached(self) -> list[int]:
        """From how many sends on something is done, in the order of the stages that there are."""
        return [sends for sends in (self.record, self.slow, self.stop) if sends]

    @property
    def alarming(self) -> int:
        """How many young sends slow a prefix if none is verified; 0 where nothing does."""
        return self.slow * 2

    def deserved(self, counts: Counts) -> Stage:
        """What the counts alone ask for. Only settled sends stop a prefix, young ones no more than slow it."""
        if not self._is_low(counts.weight, counts.verified):
            return Stage.NONE
        if self._is_low(counts.settled, counts.settled_verified) and 0 < self.stop <= counts.settled:
            return Stage.BLOCKED
        if 0 < self.slow <= counts.weight:
            return Stage.THROTTLED
        return Stage.FLAGGED if 0 < self.record <= counts.weight else Stage.NONE

    def _is_low(self, sent: int, verified: int) -> bool:
        return verified * 100 < sent * self.percent


@dataclass(frozen=True)
class Held:
    """The stage that a prefix is in. ``over`` tells that it has lasted as long as it must."""

    stage: Stage = Stage.NONE
    over: bool = True
    stops: int = 0
    version: int = 0


def steps(held: Held, deserved: Stage, rule: Rule) -> Sequence[Stage]:
    """The stages to enter now, one by one; none when nothing changes.

    A stop lasts its time and becomes a slowing, so that whoever is still there shows himself; what came before is
    forgotten then.
    """
    if held.stage is Stage.BLOCKED:
        return [Stage.THROTTLED if rule.slow else Stage.NONE] if held.over else []
    if deserved > held.stage:
        return [Stage(value) for value in range(held.stage + 1, deserved + 1)]
    return [deserved] if deserved < held.stage and held.over else []


def block_seconds(first: int, stops: int) -> int:
    """How long a prefix is stopped that has been so ``stops`` times before: twice as long each time, a day at most."""
    return min(first << min(stops, 16), MAX_BLOCK_SECONDS)


def deserved_by_money(spent: int, most: int, cheapest: int, warn_percent: int, held: Held) -> Stage:
    """What a budget asks for: stopped when not even the cheapest message can be paid from it.

    Money given back within a window lifts a stop when it is a twentieth of the budget, not message by message.
    """
    room = most - spent
    stopped = held.stage is Stage.BLOCKED and not held.over
    if room < max(1, cheapest) or (stopped and room * 20 < most):
        return Stage.BLOCKED
    return Stage.FLAGGED if spent * 100 >= most * warn_percent else Stage.NONE


def steps_of_money(held: Held, deserved: Stage) -> Sequence[Stage]:
    """The stages of a budget to enter now; a budget slows nobody.

    ``over`` means that the window of the stage has ended, which is told before the next one is judged.
    """
    if held.over and held.stage is not Stage.NONE:
        return [Stage.NONE]
    if deserved > held.stage:
        return [stage for stage in (Stage.FLAGGED, Stage.BLOCKED) if held.stage < stage <= deserved]
    return [deserved] if deserved < held.stage else []
