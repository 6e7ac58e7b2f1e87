"""The result of a measurement, and its row in the printed table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Result:
    """The times and the CPU cost of one operation."""

    name: str
    times: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by process."""
    hashing: float = 0.0
    """The part of them that was spent in hash threads."""

    @property
    def cpu_ms(self) -> float:
        return sum(self.cpu.values()) * 1000 / len(self.times)

    def row(self, bare_ms: float) -> str:
        shares = ", ".join(
            f"{name} {spent * 1000 / len(self.times):.2f}" for name, spent in self.cpu.items() if spent > 0.0001
        )
        rate, p50, p99 = len(self.times) / self.wall, percentile(self.times, 50), percentile(self.times, 99)
        cost = f"**{self.cpu_ms:.2f}** | {self.cpu_ms / bare_ms:.1f}"
        return f"| {self.name} | {len(self.times)} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {cost} | {shares} |"


def percentile(times: Sequence[float], share: int) -> float:
    """A percentile in milliseconds (nearest rank)."""
    ranked = sorted(times)
    return ranked[max(0, math.ceil(len(ranked) * share / 100) - 1)] * 1000
