"""Replays a recording: in the order of each user, several users at once, at a rate, with checkpoints between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.shadow.call_order import CallOrder, Place
from gateway.shadow.caller import ShadowCaller
from gateway.shadow.checkpoint import Progression
from gateway.shadow.differences.comparison import OUTCOME, Difference
from gateway.shadow.differences.expectations import Expectations
from gateway.shadow.differences.report import Skipped
from gateway.shadow.recorded.answers import SERVER_FAILED, ReceivedAnswer
from gateway.shadow.recorded.calls import CallTable, ContractCall
from gateway.shadow.recorded.recording import BrokenLineError, Line, RecordedCall, read_call
from gateway.shadow.recorded.requests import Values, values_of
from gateway.shadow.recorded.subjects import Subject, Subjects

WINDOW = 16
"""How many calls are read ahead for each that may run, so that a user with many calls does not stop the others."""
CHECKPOINT_CALLS = 1_000


class Output(Protocol):
    """Where each broken line and each difference is written."""

    def broken(self, line: int, reason: str) -> None: ...

    def differences(
        self, line: int, call: ContractCall, differences: list[Difference], follows: int | None
    ) -> None: ...


@dataclass(frozen=True)
class Judgement:
    """What explains differences, and where they are written."""

    expectations: Expectations
    output: Output


@dataclass(frozen=True)
class Plan:
    """How to replay. ``rate`` is calls a second at most; ``speed`` 1 keeps the times of the recording, 10 a tenth."""

    concurrency: int
    rate: float | None = None
    speed: float | None = None
    is_copy: bool = False


class Pace:
    """When the next call may start, in the time of the event loop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._next = 0.0
        self._first: tuple[float, float] | None = None

    async def wait(self, recorded: RecordedCall) -> None:
        """Wait until a call may start."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next, self._as_recorded(now, recorded.time))
        if self._plan.rate:
            self._next = start + 1 / self._plan.rate
        if start > now:
            await asyncio.sleep(start - now)

    def _as_recorded(self, now: float, recorded: float | None) -> float:
        if self._plan.speed is None or recorded is None:
            return now
        if self._first is None:
            self._first = now, recorded
        return self._first[0] + (recorded - self._first[1]) / self._plan.speed


@dataclass(frozen=True)
class ReadCall:
    """A call of the recording that is to be made."""

    line: int
    call: ContractCall
    recorded: RecordedCall
    values: Values
    subject: Subject


class Replay:
    """One run over a recording."""

    def __init__(
        self, table: CallTable, caller: ShadowCaller, run: Progression, judgement: Judgement, plan: Plan
    ) -> None:
        self._table = table
        self._caller = caller
        self._run = run
        self._judgement = judgement
        self._plan = plan
        self._subjects = Subjects(run.known)
        self._order = CallOrder()
        self._pace = Pace(plan)
        self._slots = asyncio.Semaphore(plan.concurrency)
        self._window = asyncio.Semaphore(plan.concurrency * WINDOW)
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, lines: AsyncIterator[Line], save: Callable[[Progression], None]) -> None:
        """Replay the lines, and save the run after each thousand and at the end. Raises ``UnreachableError``."""
        try:
            async with asyncio.TaskGroup() as group:
                async for line in lines:
                    await self._begin(group, line)
                    self._run.line, self._run.offset = line.number, line.end
                    if line.number % CHECKPOINT_CALLS == 0:
                        await self._drain()
                        save(self._run)
        except BaseExceptionGroup as error:
            raise error.exceptions[0] from None  # the others are of the same kind, or cancelled
        save(self._run)

    async def _drain(self) -> None:
        """Wait for the calls that run."""
        if self._running:
            await asyncio.wait(self._running)

    async def _begin(self, group: asyncio.TaskGroup, line: Line) -> None:
        """Read a line, and start its call if it is one to make."""
        read = self._read(line)
        if read is None:
            return
        await self._window.acquire()
        await self._pace.wait(read.recorded)
        task = group.create_task(self._make(read, self._order.next_place(read.subject.keys)))
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._window.release()

    def _read(self, line: Line) -> ReadCall | None:
        """The call of a line; None for one that is not made, which is counted."""
        report = self._run.report
        try:
            recorded = read_call(line.content)
        except BrokenLineError as error:
            report.count_broken(line.number, error.reason)
            self._judgement.output.broken(line.number, error.reason)
            return None
        call = self._table.find(recorded.method, recorded.path)
        if call is None:
            report.count_skipped(Skipped.OTHER)
        elif recorded.response.status >= SERVER_FAILED:
            report.count_skipped(Skipped.FAILED)
        elif not (self._plan.is_copy or call.changes_nothing):
            report.count_skipped(Skipped.CHANGES)
        else:
            values = values_of(call, recorded)
            subject = self._subjects.find(call, values, ReceivedAnswer.of(recorded.response))
            return ReadCall(line.number, call, recorded, values, subject)
        return None

    async def _make(self, read: ReadCall, place: Place) -> None:
        async with place, self._slots:
            differences = await self._caller.differences(read.call, read.recorded, read.subject, read.values)
        if not differences:
            self._run.report.count_alike(read.call)
            return
        follows = self._followed(read.subject)
        if follows is not None:
            self._run.report.count_following(read.call)
        else:
            self._run.report.count_differing(read.line, read.call, differences, self._judgement.expectations)
            self._note_divergence(read, differences)
        self._judgement.output.differences(read.line, read.call, differences, follows)

    def _followed(self, subject: Subject) -> int | None:
        """The line after which the users of a call are no longer the same in both back ends."""
        lines = (self._run.known.diverged.get(key) for key in subject.keys)
        return min((line for line in lines if line is not None), default=None)

    def _note_divergence(self, read: ReadCall, differences: list[Difference]) -> None:
        """A call that one back end made and the other refused changes what later calls of its users get."""
        if read.call.changes_nothing or all(each.field != OUTCOME for each in differences):
            return
        subject = read.subject
        for number in filter(None, (subject.number, subject.code_number, subject.own_number)):
            self._run.known.diverged.setdefault(number, read.line)
