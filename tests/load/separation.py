"""Whether two sets of times can be told apart: Welch's t with trimmed means and winsorized variances (Yuen, 1974)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

TRIMMED = 0.1
"""The share of the smallest and of the largest times that is left out, each: they are the machine's, not the call's."""
MAX_T = 4.5
"""Above this, one attacker with as many samples can tell the two sets apart (as in dudect; p < 0.00001)."""


@dataclass(frozen=True)
class Trimmed:
    """The trimmed mean of some times, and the square of its standard error."""

    mean: float
    squared_error: float

    @classmethod
    def of(cls, times: Sequence[float]) -> "Trimmed":
        """At least three times are needed after trimming."""
        ranked, cut = sorted(times), int(len(times) * TRIMMED)
        kept = ranked[cut : len(ranked) - cut]
        winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
        squared_error = (len(ranked) - 1) * variance(winsorized) / (len(kept) * (len(kept) - 1))
        return cls(fmean(kept), squared_error)


def welch_t(one: Sequence[float], other: Sequence[float]) -> float:
    """How many standard errors the trimmed means are apart; positive if the first is larger."""
    a, b = Trimmed.of(one), Trimmed.of(other)
    difference, error = a.mean - b.mean, math.sqrt(a.squared_error + b.squared_error)
    if error == 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / error


@dataclass(frozen=True)
class Comparison:
    """The times of one call, in seconds, for numbers with an account and for numbers without one."""

    call: str
    with_account: Sequence[float]
    without: Sequence[float]

    @property
    def t(self) -> float:
        """Positive if the call takes longer for numbers with an account."""
        return welch_t(self.with_account, self.without)

    @property
    def is_separable(self) -> bool:
        """Whether the times show which numbers have an account."""
        return abs(self.t) >= MAX_T

    def row(self) -> str:
        """One row of the printed table, in milliseconds and microseconds."""
        a, b = Trimmed.of(self.with_account).mean, Trimmed.of(self.without).mean
        verdict = "**separable**" if self.is_separable else "same"
        return (
            f"| {self.call} | {len(self.with_account):,} | {a * 1e3:.3f} | {b * 1e3:.3f} | {(a - b) * 1e6:+.1f} "
            f"| {self.t:+.2f} | {verdict} |"
        )


HEADER = (
    "| call | samples of each | with an account, ms | without, ms | difference, µs | t | |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
)
