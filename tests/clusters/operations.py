"""When each operation of the load began and ended, and what that says about an outage."""

import itertools
import time
from collections.abc import AsyncIterator
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

    def back_after(self, since: float, until: float) -> float:
        """The seconds from ``since`` until every kind of operation that had failed succeeded again.

        That is the end of the first one that began after the last failure. Infinite if none did.
        """
        return max((self._kind_back_after(kind, since, until) for kind in self._failed(since, until)), default=0.0)

    def longest_silence(self, since: float, until: float) -> float:
        """The longest time without an arrival of one kind, in seconds."""
        return max(
            after - before
            for moments in self.arrivals.values()
            for before, after in _pairs([since, *(at for at in moments if since <= at <= until), until])
        )

    def _failed(self, since: float, until: float) -> set[str]:
        return {each.kind for each in self.operations if not each.succeeded and since <= each.ended <= until}

    def _kind_back_after(self, kind: str, since: float, until: float) -> float:
        same = [each for each in self.operations if each.kind == kind and since <= each.ended <= until]
        last = max(each.began for each in same if not each.succeeded)
        ends = [each.ended for each in same if each.succeeded and each.began > last]
        return min(ends, default=float("inf")) - since


def _pairs(moments: list[float]) -> list[tuple[float, float]]:
    return list(itertools.pairwise(moments))
