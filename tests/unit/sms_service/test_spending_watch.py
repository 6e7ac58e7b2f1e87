"""The view of the stages in one process: who is stopped, for how long, and what it costs to ask."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from support.spending import a_plan

from shared.errors import ErrorCode
from shared.phone import E164
from sms_service.spending import StoppedError
from sms_service.spending.policy import Stage
from sms_service.spending.watch import Standing, Unwatched, Watch

NUMBER, NEIGHBOUR, ELSEWHERE = E164("+8613800138000"), E164("+8613800149999"), E164("+14155550100")


class Book:
    """Stages as they are set, and a counted number of places for slowed prefixes."""

    def __init__(self) -> None:
        self.stages: list[Standing] = []
        self.places = 2
        self.asked = 0

    async def standing(self) -> Sequence[Standing]:
        return self.stages

    async def admit(self, scope: str, per_minute: int) -> float:
        assert scope.startswith("block:")
        assert per_minute == 6
        self.asked += 1
        self.places -= 1
        return 0.0 if self.places >= 0 else 20.5


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(watch: Watch, number: E164) -> int | None:
    """In how many seconds a number may ask again; None when it may now."""
    try:
        watch.refuse_stopped(number)
    except StoppedError as error:
        assert error.code is ErrorCode.UNAVAILABLE
        return error.retry_after
    return None


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_stop_holds_for_its_prefix_until_it_ends_without_another_look(book: Book, clock: Clock) -> None:
    watch = Watch(book, a_plan(), clock)
    assert refused(watch, NUMBER) is None
    book.stages = [Standing("block:+861380013", Stage.STOP, 5, 60.2)]
    await watch.refresh()

    assert [refused(watch, number) for number in (NUMBER, NEIGHBOUR, ELSEWHERE)] == [61, None, None]
    clock.now += 60.1
    assert refused(watch, NUMBER) == 1
    clock.now += 1
    assert refused(watch, NUMBER) is None


async def test_a_budget_without_money_stops_all_its_numbers_and_the_longest_wait_is_told(
    book: Book, clock: Clock
) -> None:
    watch = Watch(book, a_plan(), clock)
    book.stages = [
        Standing("hour:+86", Stage.STOP, 0, 90),
        Standing("day:+86", Stage.STOP, 0, 9000),
        Standing("block:+861380013", Stage.STOP, 0, 300),
        Standing("day:+1", Stage.RECORD, 0, 9000),
    ]
    await watch.refresh()

    assert [refused(watch, number) for number in (NUMBER, NEIGHBOUR, ELSEWHERE)] == [9000, 9000, None]


async def test_a_slowed_prefix_asks_for_a_place_until_the_minute_is_full_and_then_asks_no_more(
    book: Book, clock: Clock
) -> None:
    watch = Watch(book, a_plan(), clock)
    book.stages = [Standing("block:+861380013", Stage.SLOW, 5, 600)]
    await watch.refresh()

    await watch.admit(NEIGHBOUR)
    assert book.asked == 0
    for _ in range(2):
        await watch.admit(NUMBER)
    for _ in range(5):
        with pytest.raises(StoppedError) as stopped:
            await watch.admit(NUMBER)
        assert stopped.value.retry_after == 21
    assert book.asked == 3
    clock.now += 21
    book.places = 1
    await watch.admit(NUMBER)
    assert book.asked == 4


@pytest.mark.parametrize(("age", "asked"), [(0.5, 0), (6.5, 0), (7.5, 1), (60.0, 1)])
async def test_a_queued_message_takes_a_place_if_it_was_asked_for_before_the_slowing(
    book: Book, clock: Clock, age: float, asked: int
) -> None:
    watch = Watch(book, a_plan(), clock)
    book.stages = [Standing("block:+861380013", Stage.SLOW, 10, 600)]
    await watch.refresh()

    assert await watch.admits_queued(NUMBER, timedelta(seconds=age))
    assert book.asked == asked


async def test_a_queued_message_of_a_stopped_prefix_does_not_go(book: Book, clock: Clock) -> None:
    watch = Watch(book, a_plan(), clock)
    book.stages = [Standing("block:+861380013", Stage.STOP, 0, 60)]
    await watch.refresh()
    assert not await watch.admits_queued(NUMBER, timedelta())
    assert await watch.admits_queued(NEIGHBOUR, timedelta())


async def test_where_it_only_records_no_prefix_is_stopped_or_slowed_but_budgets_are(book: Book, clock: Clock) -> None:
    watch = Watch(book, a_plan(mode="record"), clock)
    book.stages = [
        Standing("block:+861380013", Stage.STOP, 0, 60),
        Standing("network:+86138", Stage.SLOW, 0, 60),
        Standing("hour:+1", Stage.STOP, 0, 60),
    ]
    await watch.refresh()
    await watch.admit(NUMBER)
    assert [refused(watch, number) for number in (NUMBER, ELSEWHERE)] == [None, 60]


async def test_stages_are_shown_as_metrics_and_go_with_them(book: Book, clock: Clock) -> None:
    watch = Watch(book, a_plan(), clock)
    book.stages = [Standing("block:+861380013", Stage.SLOW, 0, 60)]
    labels = {"kind": "block", "prefix": "+861380013"}
    await watch.refresh()
    assert REGISTRY.get_sample_value("haoma_spending_stage", labels) == 2
    book.stages = []
    await watch.refresh()
    assert REGISTRY.get_sample_value("haoma_spending_stage", labels) is None
    assert REGISTRY.get_sample_value("haoma_spending_refreshed_timestamp_seconds")


async def test_without_a_plan_everybody_may_and_nothing_is_counted() -> None:
    watch = Unwatched()
    watch.refuse_stopped(NUMBER)
    await watch.admit(NUMBER)
    assert await watch.admits_queued(NUMBER, timedelta(days=1))
    assert watch.area(NUMBER) is None
