"""What the check of clusters says, and when it fails."""

import pytest
from clusters.failovers import Failover, Leader
from clusters.losses import Loss
from clusters.operations import Operations
from clusters.report import is_kept, line, tables


async def nothing() -> None:
    """Kill no server."""


SILENCE = Operations().longest_silence
LEADER = Leader("Redis", 5.0, "until charged", nothing, lambda: None, SILENCE, SILENCE)


@pytest.mark.parametrize(
    ("killed", "rejoined", "lost", "kept"),
    [(5.0, 0.0, 0, True), (5.1, 0.0, 0, False), (1.0, 5.1, 0, False), (1.0, 0.0, 1, False)],
)
def test_the_check_fails_if_an_outage_is_too_long_or_anything_is_missing(
    killed: float, rejoined: float, lost: int, kept: bool
) -> None:
    failover = Failover(LEADER, [1.0, killed], [0.0, rejoined], 3)
    assert is_kept([failover], [Loss("codes", 10, 0), Loss("events", 10, lost)]) is kept


def test_a_row_shows_each_kill_and_marks_what_took_too_long() -> None:
    failover = Failover(LEADER, [1.04, 7.5], [0.0, 0.2], 3)
    assert line(failover) == "| Redis | **1.0, 7.5 s** | 0.0, 0.2 s | 5 s | 3 | until charged |"
    assert tables([failover], [Loss("codes", 1234, 5)]).endswith("| codes | 1,234 | 5 |")
