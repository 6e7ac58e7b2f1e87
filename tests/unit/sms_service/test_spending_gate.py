"""The stages as one process knows them: which numbers it refuses, for how long, and how often it asks the database."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from support.spending import make_plan

from shared.errors import ErrorCode
from shared.phone import E164
from sms_service.spending.gate import BUDGET_STAGES, PREFIX_STAGES, NoSpendingLimits, PrefixState, SpendingGate
from sms_service.spending.policy import Stage
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED, BlockedError

NUMBER, NEIGHBOUR, ELSEWHERE = E164("+8613800138000"), E164("+8613800149999"), E164("+14155550100")


class FakeRepository:
    """The stages that a test sets, and a number of slots for throttled prefixes."""

    def __init__(self) -> None:
        self.stages: list[PrefixState] = []
        self.slots = 2
        self.admissions = 0

    async def state(self) -> Sequence[PrefixState]:
        return self.stages

    async def admit(self, scope: str, per_minute: int) -> float:
        assert scope.startswith("range:")
        assert per_minute == 6
        self.admissions += 1
        self.slots -= 1
        return 0.0 if self.slots >= 0 else 20.5

    async def give_back(self, scope: str) -> None:
        assert scope.startswith("range:")
        self.slots += 1


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(gate: SpendingGate, number: E164) -> int | None:
    """The Retry-After of a number in seconds; None if the gate does not refuse it."""
    try:
        gate.refuse_blocked(number)
    except BlockedError as error:
        assert error.code is ErrorCode.SENDING_PAUSED
        return error.retry_after
    return None


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_block_ends_on_time_without_another_refresh(repository: FakeRepository, clock: Clock) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    assert refused(gate, NUMBER) is None
    repository.stages = [PrefixState("range:+861380013", Stage.BLOCKED, 5, 60.2)]
    await gate.refresh()

    assert [refused(gate, number) for number in (NUMBER, NEIGHBOUR, ELSEWHERE)] == [61, None, None]
    clock.now += 60.1
    assert refused(gate, NUMBER) == 1
    clock.now += 1
    assert refused(gate, NUMBER) is None


async def test_an_exhausted_budget_refuses_all_its_numbers_with_the_longest_wait(
    repository: FakeRepository, clock: Clock
) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    repository.stages = [
        PrefixState("hour:+86", Stage.BLOCKED, 0, 90),
        PrefixState("day:+86", Stage.BLOCKED, 0, 9000),
        PrefixState("range:+861380013", Stage.BLOCKED, 0, 300),
        PrefixState("day:+1", Stage.FLAGGED, 0, 9000),
    ]
    await gate.refresh()

    assert [refused(gate, number) for number in (NUMBER, NEIGHBOUR, ELSEWHERE)] == [9000, 9000, None]


async def test_what_is_kept_of_a_budget_is_refused_to_strangers_only(repository: FakeRepository, clock: Clock) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    repository.stages = [PrefixState("hour:+86", Stage.THROTTLED, 0, 90), PrefixState("day:+1", Stage.BLOCKED, 0, 900)]
    await gate.refresh()

    assert [refused(gate, number) for number in (NUMBER, ELSEWHERE)] == [90, 900]
    gate.refuse_blocked(NUMBER, is_known=True)
    await gate.admit_queued(NUMBER, timedelta(), is_known=True)
    with pytest.raises(BlockedError) as refusal:
        await gate.admit_queued(NUMBER, timedelta())
    assert refusal.value.reason == BUDGET_EXHAUSTED
    with pytest.raises(BlockedError):
        gate.refuse_blocked(ELSEWHERE, is_known=True)
    assert await gate.admit(NUMBER) == []
    clock.now += 91
    assert refused(gate, NUMBER) is None


async def test_a_full_minute_is_remembered_and_costs_no_further_query(repository: FakeRepository, clock: Clock) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    repository.stages = [PrefixState("range:+861380013", Stage.THROTTLED, 5, 600)]
    await gate.refresh()

    await gate.admit(NEIGHBOUR)
    assert repository.admissions == 0
    for _ in range(2):
        await gate.admit(NUMBER)
    for _ in range(5):
        with pytest.raises(BlockedError) as refusal:
            await gate.admit(NUMBER)
        assert refusal.value.retry_after == 21
    assert repository.admissions == 3
    clock.now += 21
    repository.slots = 1
    await gate.admit(NUMBER)
    assert repository.admissions == 4


@pytest.mark.parametrize(("age", "admissions"), [(0.5, 0), (6.5, 0), (7.5, 1), (60.0, 1)])
async def test_a_queued_message_takes_a_slot_if_it_was_requested_before_the_throttling(
    repository: FakeRepository, clock: Clock, age: float, admissions: int
) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    repository.stages = [PrefixState("range:+861380013", Stage.THROTTLED, 10, 600)]
    await gate.refresh()

    await gate.admit_queued(NUMBER, timedelta(seconds=age))
    assert repository.admissions == admissions


@pytest.mark.parametrize(
    ("left", "reason"), [((60, 90), BUDGET_EXHAUSTED), ((90, 60), PREFIX_BLOCKED), ((90, 0), PREFIX_BLOCKED)]
)
async def test_of_two_reasons_to_refuse_a_number_the_one_that_lasts_longer_counts(
    repository: FakeRepository, clock: Clock, left: tuple[float, float], reason: str
) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    scopes = ("range:+861380013", "hour:+86")
    repository.stages = [
        PrefixState(scope, Stage.BLOCKED, 0, seconds) for scope, seconds in zip(scopes, left, strict=True)
    ]
    await gate.refresh()
    with pytest.raises(BlockedError) as refusal:
        gate.refuse_blocked(NUMBER)
    assert (refusal.value.reason, refusal.value.retry_after) == (reason, 90)


async def test_a_queued_message_to_a_blocked_prefix_is_not_sent(repository: FakeRepository, clock: Clock) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    repository.stages = [PrefixState("range:+861380013", Stage.BLOCKED, 0, 60)]
    await gate.refresh()
    with pytest.raises(BlockedError):
        await gate.admit_queued(NUMBER, timedelta())
    await gate.admit_queued(NEIGHBOUR, timedelta())


@pytest.mark.parametrize("stage", [Stage.THROTTLED, Stage.BLOCKED])
async def test_callers_who_are_known_to_the_number_pass_a_prefix_that_strangers_can_have_blocked(
    repository: FakeRepository, clock: Clock, stage: Stage
) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    repository.stages = [PrefixState("range:+861380013", stage, 0, 600)]
    await gate.refresh()

    gate.refuse_blocked(NUMBER, is_known=True)
    await gate.admit_queued(NUMBER, timedelta(minutes=1), is_known=True)

    assert repository.admissions == 0


async def test_callers_who_are_known_to_the_number_wait_for_an_exhausted_budget(
    repository: FakeRepository, clock: Clock
) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    repository.stages = [PrefixState("hour:+86", Stage.BLOCKED, 0, 60)]
    await gate.refresh()

    with pytest.raises(BlockedError):
        gate.refuse_blocked(NUMBER, is_known=True)
    with pytest.raises(BlockedError):
        await gate.admit_queued(NUMBER, timedelta(), is_known=True)


async def test_in_observe_mode_no_prefix_is_throttled_or_blocked_but_budgets_apply(
    repository: FakeRepository, clock: Clock
) -> None:
    gate = SpendingGate(repository, make_plan(mode="observe"), clock)
    repository.stages = [
        PrefixState("range:+861380013", Stage.BLOCKED, 0, 60),
        PrefixState("network:+86138", Stage.THROTTLED, 0, 60),
        PrefixState("hour:+1", Stage.BLOCKED, 0, 60),
    ]
    await gate.refresh()
    await gate.admit(NUMBER)
    assert [refused(gate, number) for number in (NUMBER, ELSEWHERE)] == [None, 60]


async def test_a_slot_that_was_given_back_is_free_at_once(repository: FakeRepository, clock: Clock) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    repository.stages = [PrefixState("range:+861380013", Stage.THROTTLED, 5, 600)]
    await gate.refresh()
    slots = [await gate.admit(NUMBER) for _ in range(2)]
    with pytest.raises(BlockedError):
        await gate.admit(NUMBER)
    repository.slots = 0

    await gate.give_back(slots[0])

    assert await gate.admit(NUMBER) == slots[0]


async def test_metrics_count_stages_by_kind_and_have_no_series_for_each_prefix(
    repository: FakeRepository, clock: Clock
) -> None:
    gate = SpendingGate(repository, make_plan(), clock)
    repository.stages = [PrefixState(f"range:+86138{place:04d}", Stage.THROTTLED, 0, 60) for place in range(500)]
    repository.stages += [PrefixState("hour:+86", Stage.BLOCKED, 0, 60)]
    await gate.refresh()
    assert stages("range") == {"flagged": 0, "throttled": 500, "blocked": 0}
    assert budget_stages("hour") == {"warned": 0, "reserved": 0, "exhausted": 1}
    assert sum(len(family.samples) for family in PREFIX_STAGES.collect()) == 3 * 3
    assert sum(len(family.samples) for family in BUDGET_STAGES.collect()) == 2 * 3
    repository.stages = []
    await gate.refresh()
    assert stages("range") == {"flagged": 0, "throttled": 0, "blocked": 0}
    assert REGISTRY.get_sample_value("haoma_spending_refreshed_timestamp_seconds")


def stages(kind: str) -> dict[str, float | None]:
    """The metric of one kind of prefix, by stage."""
    names = ("flagged", "throttled", "blocked")
    return {name: REGISTRY.get_sample_value("haoma_prefix_stages", {"kind": kind, "stage": name}) for name in names}


def budget_stages(span: str) -> dict[str, float | None]:
    """The metric of the budgets of one span, by stage."""
    names = ("warned", "reserved", "exhausted")
    return {name: REGISTRY.get_sample_value("haoma_budget_stages", {"span": span, "stage": name}) for name in names}


async def test_without_a_plan_no_number_is_refused_and_nothing_is_counted() -> None:
    gate = NoSpendingLimits()
    gate.refuse_blocked(NUMBER)
    assert await gate.admit(NUMBER) == ()
    await gate.give_back(())
    await gate.admit_queued(NUMBER, timedelta(days=1))
    assert gate.prefixes(NUMBER) is None
