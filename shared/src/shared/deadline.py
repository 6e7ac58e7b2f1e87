"""Deadlines: one that a starved process does not miss, and one that costs a block of a request next to nothing."""

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


class TimeLimit:
    """``asyncio.timeout`` for the many blocks of a server that have one limit: ``with limit(): ...``.

    The blocks share a timer, so one that ends in time costs a quarter of one with its own timer. Raises
    ``TimeoutError`` after ``seconds``. Use an instance in one event loop.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._blocks: dict[_Block, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self) -> "_Block":
        return _Block(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of all blocks: each question to asyncio for it is a system call in Python 3.11."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def begin(self, block: "_Block") -> None:
        """Let a block end ``seconds`` from now."""
        due = self.loop.time() + self._seconds
        self._blocks[block] = due
        if self._timer is None:
            self._timer = self.loop.call_at(due, self._end_late, self.loop)

    def end(self, block: "_Block") -> None:
        """Forget a block."""
        self._blocks.pop(block, None)

    def _end_late(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the blocks that are late: with one limit for all, the oldest is due first."""
        now = loop.time()
        self._timer = None
        for block, due in list(self._blocks.items()):
            if due > now:
                self._timer = loop.call_at(due, self._end_late, loop)
                return
            block.expire()


class _Block:
    """One block of a task: cancelled when it is late, which its end turns into ``TimeoutError``."""

    __slots__ = ("_cancelling", "_is_late", "_limit", "_task")

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._is_late = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._limit.loop)
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._limit.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._limit.end(self)
        if self._is_late and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the task."""
        self._limit.end(self)
        self._is_late = True
        self._task.cancel()
