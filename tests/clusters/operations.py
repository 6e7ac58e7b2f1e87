"""When each operation of the load began and ended, and what that says about an outage."""

import itertools
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Operation:
    """One call: what it was, when it began and ended in seconds of the monotonic clock, and whether it succeeded."""

    kind: str
    began: float
    ended: float
    succeeded: bool


class NotAcknowledgedError(Exception):
    """The system refused the operation, or did not answer: it promised nothing."""


@dataclass
class Operations:
    """The operations so far, in the order of their ends, and the moments at which messages and events arrived."""

    operations: list[Operation] = field(default_factory=list)
    arrivals: dict[str, list[float]] = field(default_factory=dict)

    @asynccontextmanager
    async def record(self, kind: str) -> AsyncIterator[None]:
        """Record one operation; one that raises anything has failed."""
        began, succeeded = time.monotonic(), False
        try:
            yield
            succeeded = True
        finally:
            self.operations.append(Operation(kind, began, time.monotonic(), succeeded))

    def arrived(self, kind: str) -> None:
        """Record that a message or an event arrived now."""
        self.arrivals.setdefault(kind, []).append(time.monotonic())

    def failures(self, since: float, until: float) -> int:
        return sum(not each.succeeded for each in self.operations if since <= each.ended <= until)

    def back_after(self, since: float, until: float, kinds: Collection[str]) -> float:
        """The seconds from ``since`` until every kind of operation that had failed succeeded again.

        That is the end of the first one that began after the last failure. Infinite if none did.
        """
        outages = self._outages(since, until, kinds)
        return max((back - since for _, back in outages), default=0.0)

    def outage(self, since: float, until: float, kinds: Collection[str]) -> float:
        """The same, in seconds from the begin of the first operation of the kind that failed."""
        outages = self._outages(since, until, kinds)
        return max((back - began for began, back in outages), default=0.0)

    def longest_silence(self, since: float, until: float) -> float:
        """The longest time without an arrival of one kind, in seconds."""
        return max(
            after - before
            for moments in self.arrivals.values()
            for before, after in _pairs([since, *(at for at in moments if since <= at <= until), until])
        )

    def _outages(self, since: float, until: float, kinds: Collection[str]) -> list[tuple[float, float]]:
        """For each kind that failed: when its first failure began, and when it succeeded again."""
        found = [each for each in self.operations if since <= each.ended <= until]
        by_kind = [[each for each in found if each.kind == kind] for kind in kinds]
        return [_outage_of(same) for same in by_kind if not all(each.succeeded for each in same)]


def _outage_of(operations: list[Operation]) -> tuple[float, float]:
    failures = [each.began for each in operations if not each.succeeded]
    ends = [each.ended for each in operations if each.succeeded and each.began > max(failures)]
    return min(failures), min(ends, default=float("inf"))


def _pairs(moments: list[float]) -> list[tuple[float, float]]:
    return list(itertools.pairwise(moments))
