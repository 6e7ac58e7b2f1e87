"""How often is judged, and what is judged when there is too much to count: with time passed in, without a database."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from support.spending import CENT, a_plan

from shared.errors import ServiceError, unavailable
from shared.events import OutboxMessage
from sms_service.spending import setup
from sms_service.spending.gate import SpendingGate
from sms_service.spending.money import Budget
from sms_service.spending.monitor import MAX_REST_SECONDS, Change, Found, PrefixMonitor, Window
from sms_service.spending.policy import Counts, Stage


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Book:
    """Gives every turn, and takes a while: to count, and to enter each stage."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.counting = self.entering = 0.0
        self.too_much = False
        self.suspects: dict[str, Counts] = {}
        self.turns: list[float] = []
        self.entered: list[tuple[str, Stage]] = []

    async def open_budgets(self, budgets: Sequence[Budget]) -> None: ...

    async def take_turn(self, every: timedelta) -> bool:
        self.turns.append(every.total_seconds())
        return True

    async def find(self) -> Found:
        return Found({}, [Window("+86", "hour", timedelta(minutes=9), 9 * CENT)])

    async def counts(self, *_: int) -> Mapping[str, Counts]:
        self.clock.now += self.counting
        if self.too_much:
            raise unavailable()
        return self.suspects

    async def change(self, change: Change, _: OutboxMessage) -> bool:
        self.clock.now += self.entering
        self.entered.append((change.scope, change.stage))
        return True


@pytest.fixture
def book() -> Book:
    return Book(Clock())


@pytest.fixture
def judge(book: Book) -> PrefixMonitor:
    return PrefixMonitor(book, a_plan(("+86", "0.10", None)), lambda: None, clock=book.clock)


async def test_counting_is_followed_by_a_rest_of_twenty_times_as_long(judge: PrefixMonitor, book: Book) -> None:
    for book.counting in (0.01, 0.2, 0.0):
        await judge.judge()
    assert book.turns == pytest.approx([1.0, 1.0, 4.0])


async def test_a_thousand_stages_to_enter_are_no_reason_to_rest(judge: PrefixMonitor, book: Book) -> None:
    book.entering = 0.001
    book.suspects = {f"range:+86138{place:04d}": Counts(settled=20) for place in range(1000)}
    assert await judge.judge() == 1001
    await judge.judge()
    assert book.turns == [1.0, 1.0]


async def test_counting_that_comes_to_no_end_is_followed_by_a_rest_of_a_few_seconds(
    judge: PrefixMonitor, book: Book
) -> None:
    book.counting, book.too_much = 2.0, True
    for _ in range(2):
        with pytest.raises(ServiceError):
            await judge.judge()
    assert book.turns == [1.0, MAX_REST_SECONDS]


async def test_budgets_have_their_stages_when_there_is_too_much_to_count(judge: PrefixMonitor, book: Book) -> None:
    book.too_much = True
    with pytest.raises(ServiceError):
        await judge.judge()
    assert book.entered == [("hour:+86", Stage.FLAGGED)]


class Alarmed:
    """Somebody raises the alarm again whenever it has been heard."""

    def __init__(self) -> None:
        self.alarm = asyncio.Event()
        self.alarm.set()
        self.judged = asyncio.Event()
        self.rounds: list[bool] = []

    async def judge(self, *, alarmed: bool) -> int:
        self.rounds.append(alarmed)
        self.alarm.set()
        self.judged.set()
        return 0


@pytest.mark.parametrize(("pause", "least", "most"), [(3600.0, 1, 1), (0.0, 50, 201)])
async def test_however_long_the_alarm_goes_on_there_is_a_pause_between_two_rounds(
    monkeypatch: pytest.MonkeyPatch, book: Book, pause: float, least: int, most: int
) -> None:
    monkeypatch.setattr(setup, "ALARMED_SECONDS", pause)
    judge = Alarmed()
    watch = SpendingGate(None, a_plan(), book.clock)  # type: ignore[arg-type]
    async with setup.judging(judge, watch, judge.alarm):  # type: ignore[arg-type]
        await judge.judged.wait()
        for _ in range(200):  # turns of the event loop, of which a round takes two or three
            await asyncio.sleep(0)
    assert all(judge.rounds)
    assert least <= len(judge.rounds) <= most
