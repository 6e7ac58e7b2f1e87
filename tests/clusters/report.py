"""What the check found, as two tables for docs/operations/stores.md."""

from collections.abc import Sequence

from clusters.failovers import Failover
from clusters.losses import Loss


def is_kept(failovers: Sequence[Failover], lost: Sequence[Loss]) -> bool:
    """Whether no outage was longer than allowed, and nothing is missing."""
    return all(failover.holds for failover in failovers) and not any(loss.lost for loss in lost)


def tables(failovers: Sequence[Failover], lost: Sequence[Loss]) -> str:
    """What was measured, and what is missing, as two tables."""
    head = "| killed under load | back after | while it rejoined | allowed | refused calls | measured |\n"
    ruler = "| --- | --- | --- | ---: | ---: | --- |"
    losses_head = "| acknowledged | operations | lost |\n| --- | ---: | ---: |"
    rows = [f"| {loss.kind} | {loss.acknowledged:,} | {loss.lost:,} |" for loss in lost]
    return "\n".join([head + ruler, *map(line, failovers), "", losses_head, *rows])


def line(failover: Failover) -> str:
    leader = failover.leader
    killed, rejoined = (_seconds(each, leader.allowed) for each in (failover.killed, failover.rejoined))
    return f"| {leader.name} | {killed} | {rejoined} | {leader.allowed:.0f} s | {failover.refused} | {leader.note} |"


def _seconds(outages: Sequence[float], allowed: float) -> str:
    mark = "**" if max(outages) > allowed else ""
    return f"{mark}{', '.join(f'{each:.1f}' for each in outages)} s{mark}"
