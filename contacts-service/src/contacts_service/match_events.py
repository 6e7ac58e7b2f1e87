"""Writes the events of matches to the outbox after their answers, many in one statement."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from shared.background import running
from shared.errors import unavailable
from shared.events.envelope import OutboxMessage

COLLECT_SECONDS = 0.02
"""The pause after the first event, so that those of several matches are written by one statement."""
RETRY_SECONDS = 1.0
MAX_WAITING = 1_000
"""Events that wait for PostgreSQL. With more, matches are refused: none is answered whose event would be lost."""

log = structlog.get_logger()


class OutboxWriter(Protocol):
    async def put(self, events: Sequence[OutboxMessage]) -> None:
        """Add events to the outbox; one that is there stays as it is. Raises ``ServiceError(UNAVAILABLE)``."""


class MatchEvents:
    """The events that are not written yet. A match reports no change of a row, so it does not wait for a commit.

    Events wait in memory for ``COLLECT_SECONDS``, or until PostgreSQL accepts them. A process that is
    killed, or that stops while PostgreSQL is away, loses them.
    """

    def __init__(self, outbox: OutboxWriter) -> None:
        self._outbox = outbox
        self._waiting: list[OutboxMessage] = []
        self._woken = asyncio.Event()

    def refuse_full(self) -> None:
        """Raise ``ServiceError(UNAVAILABLE)`` while too many events wait."""
        if len(self._waiting) >= MAX_WAITING:
            raise unavailable()

    def add(self, event: OutboxMessage) -> None:
        """Write the event soon. Raises ``ServiceError(UNAVAILABLE)`` as ``refuse_full`` does."""
        self.refuse_full()
        self._waiting.append(event)
        self._woken.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write events in the background until the block ends, then those that still wait."""
        try:
            async with running(self._run(), name="match-events"):
                yield
        finally:
            if not await self._write_or_keep():
                log.error("match_events.lost", events=len(self._waiting))

    async def _run(self) -> None:
        pause = COLLECT_SECONDS
        while True:
            await self._woken.wait()
            await asyncio.sleep(pause)
            self._woken.clear()
            pause = COLLECT_SECONDS
            if not await self._write_or_keep():
                pause = RETRY_SECONDS
                self._woken.set()

    async def _write_or_keep(self) -> bool:
        """Write what waits. Returns whether it is written; if not, it waits on."""
        events = list(self._waiting)
        if events:
            try:
                await self._outbox.put(events)
            except Exception as error:  # noqa: BLE001  the events still wait
                log.warning("match_events.delayed", events=len(events), error=type(error).__name__)
                return False
            del self._waiting[: len(events)]
        return True
