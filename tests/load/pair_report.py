"""The tables of a pair of systems: medians of the turns, and the ratio of the two turn by turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from load.pair_operations import Cost, Measurement
from load.results import percentile

HEADER = (
    "| operation | clients | requests | CPU ms, this | CPU ms, other | this / other | range | this x bare | other x bare"
    " | p50 / p99 ms, this | p50 / p99 ms, other |\n| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |"
)
PROCESSES = (
    "| operation | process | CPU ms, this | CPU ms, other | voluntary switches, this | voluntary switches, other |"
    "\n| --- | --- | ---: | ---: | ---: | ---: |"
)


@dataclass
class Comparison:
    """The costs of one operation in both systems, turn by turn."""

    measured: Measurement
    this: list[Cost] = field(default_factory=list)
    other: list[Cost] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [this.total_ms / other.total_ms for this, other in zip(self.this, self.other, strict=True)]

    def row(self, bare_ms: float) -> str:
        this, other = (median(cost.total_ms for cost in costs) for costs in (self.this, self.other))
        ratios = self.ratios
        cells = (
            self.measured.name,
            str(self.measured.clients),
            str(self.measured.count * len(self.this)),
            f"{this:.2f}",
            f"{other:.2f}",
            f"**{median(ratios):.2f}**",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            f"{this / bare_ms:.1f}",
            f"{other / bare_ms:.1f}",
            _latency(self.this),
            _latency(self.other),
        )
        return _row(cells)

    def rows_of_processes(self) -> Iterator[str]:
        for process in self.this[0].cpu_ms:
            cpu = (median(cost.cpu_ms[process] for cost in costs) for costs in (self.this, self.other))
            switches = (median(cost.switches[process] for cost in costs) for costs in (self.this, self.other))
            yield _row((self.measured.name, process, *(f"{value:.2f}" for value in (*cpu, *switches))))


def report(comparisons: Sequence[Comparison], bare_ms: Sequence[float]) -> Iterator[str]:
    """The lines of both tables. ``bare_ms`` is what a bare response cost in each turn."""
    yield HEADER
    yield from (each.row(median(bare_ms)) for each in comparisons)
    yield f"\n{PROCESSES}"
    for each in comparisons:
        yield from each.rows_of_processes()


def idle_line(name: str, idle: Cost) -> str:
    """What the processes of a system cost in a second in which nothing is requested."""
    shares = ", ".join(f"{process} {spent:.1f}, {idle.switches[process]:.1f}" for process, spent in idle.cpu_ms.items())
    switches = sum(idle.switches.values())
    return f"Idle, {name}: {idle.total_ms:.1f} ms CPU and {switches:.1f} voluntary switches a second ({shares})."


def _latency(costs: Sequence[Cost]) -> str:
    times = [seconds for cost in costs for seconds in cost.times]
    return f"{percentile(times, 50):.1f} / {percentile(times, 99):.1f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
