"""The view of the stages in one process: who is stopped, for how long, and what it costs to ask."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from support.spending import a_plan

from shared.errors import ErrorCode
from shared.phone import E164
from sms_service.spending.gate import STAGES, NoSpendingLimits, PrefixState, SpendingGate
from sms_service.spending.policy import Stage
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED, BlockedError

NUMBER, NEIGHBOUR, ELSEWHERE = E164("+8613800138000"), E164("+8613800149999"), E164("+14155550100")


class Book:
    """Stages as they are set, and a counted number of places for slowed prefixes."""

    def __init__(self) -> None:
        self.stages: list[PrefixState] = []
        self.slots = 2
        self.asked = 0

    async def state(self) -> Sequence[PrefixState]:
        return self.stages

    async def admit(self, scope: str, per_minute: int) -> float:
        assert scope.startswith("range:")
        assert per_minute == 6
        self.asked += 1
        self.slots -= 1
        return 0.0 if self.slots >= 0 else 20.5

    async def give_back(self, scope: str) -> None:
        assert scope.startswith("range:")
        self.slots += 1


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(watch: SpendingGate, number: E164) -> int | None:
    """In how many seconds a number may ask again; None when it may now."""
    try:
        watch.refuse_blocked(number)
    except BlockedError as error:
        assert error.code is ErrorCode.SENDING_PAUSED
        return error.retry_after
    return None


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_stop_holds_for_its_prefix_until_it_ends_without_another_look(book: Book, clock: Clock) -> None:
    watch = SpendingGate(book, a_plan(), clock)
    assert refused(watch, NUMBER) is None
    book.stages = [PrefixState("range:+861380013", Stage.BLOCKED, 5, 60.2)]
    await watch.refresh()

    assert [refused(watch, number) for number in (NUMBER, NEIGHBOUR, ELSEWHERE)] == [61, None, None]
    clock.now += 60.1
    assert refused(watch, NUMBER) == 1
    clock.now += 1
    assert refused(watch, NUMBER) is None


async def test_a_budget_without_money_stops_all_its_numbers_and_the_longest_wait_is_told(
    book: Book, clock: Clock
) -> None:
    watch = SpendingGate(book, a_plan(), clock)
    book.stages = [
        PrefixState("hour:+86", Stage.BLOCKED, 0, 90),
        PrefixState("day:+86", Stage.BLOCKED, 0, 9000),
        PrefixState("range:+861380013", Stage.BLOCKED, 0, 300),
        PrefixState("day:+1", Stage.FLAGGED, 0, 9000),
    ]
    await watch.refresh()

    assert [refused(watch, number) for number in (NUMBER, NEIGHBOUR, ELSEWHERE)] == [9000, 9000, None]


async def test_a_slowed_prefix_asks_for_a_place_until_the_minute_is_full_and_then_asks_no_more(
    book: Book, clock: Clock
) -> None:
    watch = SpendingGate(book, a_plan(), clock)
    book.stages = [PrefixState("range:+861380013", Stage.THROTTLED, 5, 600)]
    await watch.refresh()

    await watch.admit(NEIGHBOUR)
    assert book.asked == 0
    for _ in range(2):
        await watch.admit(NUMBER)
    for _ in range(5):
        with pytest.raises(BlockedError) as stopped:
            await watch.admit(NUMBER)
        assert stopped.value.retry_after == 21
    assert book.asked == 3
    clock.now += 21
    book.slots = 1
    await watch.admit(NUMBER)
    assert book.asked == 4


@pytest.mark.parametrize(("age", "asked"), [(0.5, 0), (6.5, 0), (7.5, 1), (60.0, 1)])
async def test_a_queued_message_takes_a_place_if_it_was_asked_for_before_the_slowing(
    book: Book, clock: Clock, age: float, asked: int
) -> None:
    watch = SpendingGate(book, a_plan(), clock)
    book.stages = [PrefixState("range:+861380013", Stage.THROTTLED, 10, 600)]
    await watch.refresh()

    await watch.admit_queued(NUMBER, timedelta(seconds=age))
    assert book.asked == asked


@pytest.mark.parametrize(
    ("left", "why"), [((60, 90), BUDGET_EXHAUSTED), ((90, 60), PREFIX_BLOCKED), ((90, 0), PREFIX_BLOCKED)]
)
async def test_who_is_refused_for_two_reasons_is_told_of_the_one_that_lasts_longer(
    book: Book, clock: Clock, left: tuple[float, float], why: str
) -> None:
    watch = SpendingGate(book, a_plan(), clock)
    scopes = ("range:+861380013", "hour:+86")
    book.stages = [PrefixState(scope, Stage.BLOCKED, 0, most) for scope, most in zip(scopes, left, strict=True)]
    await watch.refresh()
    with pytest.raises(BlockedError) as stopped:
        watch.refuse_blocked(NUMBER)
    assert (stopped.value.why, stopped.value.retry_after) == (why, 90)


async def test_a_queued_message_of_a_stopped_prefix_does_not_go(book: Book, clock: Clock) -> None:
    watch = SpendingGate(book, a_plan(), clock)
    book.stages = [PrefixState("range:+861380013", Stage.BLOCKED, 0, 60)]
    await watch.refresh()
    with pytest.raises(BlockedError):
        await watch.admit_queued(NUMBER, timedelta())
    await watch.admit_queued(NEIGHBOUR, timedelta())


async def test_where_it_only_records_no_prefix_is_stopped_or_slowed_but_budgets_are(book: Book, clock: Clock) -> None:
    watch = SpendingGate(book, a_plan(mode="record"), clock)
    book.stages = [
        PrefixState("range:+861380013", Stage.BLOCKED, 0, 60),
        PrefixState("network:+86138", Stage.THROTTLED, 0, 60),
        PrefixState("hour:+1", Stage.BLOCKED, 0, 60),
    ]
    await watch.refresh()
    await watch.admit(NUMBER)
    assert [refused(watch, number) for number in (NUMBER, ELSEWHERE)] == [None, 60]


async def test_a_place_that_was_given_back_is_asked_for_at_once(book: Book, clock: Clock) -> None:
    watch = SpendingGate(book, a_plan(), clock)
    book.stages = [PrefixState("range:+861380013", Stage.THROTTLED, 5, 600)]
    await watch.refresh()
    slots = [await watch.admit(NUMBER) for _ in range(2)]
    with pytest.raises(BlockedError):
        await watch.admit(NUMBER)
    book.slots = 0

    await watch.give_back(slots[0])

    assert await watch.admit(NUMBER) == slots[0]


async def test_prefixes_are_counted_by_kind_and_stage_and_never_name_a_series(book: Book, clock: Clock) -> None:
    watch = SpendingGate(book, a_plan(), clock)
    book.stages = [PrefixState(f"range:+86138{place:04d}", Stage.THROTTLED, 0, 60) for place in range(500)]
    book.stages += [PrefixState("hour:+86", Stage.BLOCKED, 0, 60)]
    await watch.refresh()
    assert stages("range") == {"recorded": 0, "slowed": 500, "stopped": 0}
    assert stages("hour") == {"recorded": 0, "slowed": 0, "stopped": 1}
    assert sum(len(family.samples) for family in STAGES.collect()) == 5 * 3
    book.stages = []
    await watch.refresh()
    assert stages("range") == {"recorded": 0, "slowed": 0, "stopped": 0}
    assert REGISTRY.get_sample_value("haoma_spending_refreshed_timestamp_seconds")


def stages(kind: str) -> dict[str, float | None]:
    """What the metric says of one kind of prefix."""
    names = ("recorded", "slowed", "stopped")
    return {name: REGISTRY.get_sample_value("haoma_spending_stages", {"kind": kind, "stage": name}) for name in names}


async def test_without_a_plan_everybody_may_and_nothing_is_counted() -> None:
    watch = NoSpendingLimits()
    watch.refuse_blocked(NUMBER)
    assert await watch.admit(NUMBER) == ()
    await watch.give_back(())
    await watch.admit_queued(NUMBER, timedelta(days=1))
    assert watch.area(NUMBER) is None
