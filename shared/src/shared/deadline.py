"""A deadline that a starved process does not miss: it counts the time in which its event loop runs."""

import asyncio
from types import TracebackType
from typing import Self

SLICES = 6


class Deadline:
    """``asyncio.timeout`` for answers of servers. Raises ``TimeoutError`` after ``seconds`` of a loop that runs.

    A process that gets no CPU for a while reads no answer. When it runs again, its timers are due before it looks at
    its sockets, so a plain timeout discards answers that arrived in time. This one counts in slices: a pause of the
    loop counts as one of them at most, and the loop reads its sockets between two slices.
    """

    def __init__(self, seconds: float) -> None:
        self._slice = seconds / SLICES
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._timeout.__aenter__()
        self._timer = self._loop.call_later(self._slice, self._count, SLICES - 1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def _count(self, slices_left: int) -> None:
        if slices_left:
            self._timer = self._loop.call_later(self._slice, self._count, slices_left - 1)
        else:
            self._timeout.reschedule(self._loop.time())
