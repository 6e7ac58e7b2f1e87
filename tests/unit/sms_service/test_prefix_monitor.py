"""How often the monitor reviews, and what it does when the traffic takes too long to count: without a database."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs
from support.spending import CENT, make_plan

from shared.errors import ServiceError, unavailable
from shared.events.envelope import OutboxMessage
from sms_service.spending import setup
from sms_service.spending.gate import SpendingGate
from sms_service.spending.money import Budget, BudgetWindow
from sms_service.spending.monitor import MAX_REST_SECONDS, PrefixMonitor, SpendingState, StageChange
from sms_service.spending.policy import CurrentStage, PrefixTraffic, Stage

RANGE = "range:+861380013"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeRepository:
    """Grants every lease. Its clock advances with each count and with each stage that is entered."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.counting = self.entering = 0.0
        self.fails = False
        self.stages: dict[str, CurrentStage] = {}
        self.spent = 9 * CENT
        self.suspects: dict[str, PrefixTraffic] = {}
        self.leases: list[float] = []
        self.entered: list[tuple[str, Stage]] = []
        self.changes: list[StageChange] = []
        self.events: list[OutboxMessage] = []

    async def open_budgets(self, budgets: Sequence[Budget]) -> None: ...

    async def take_lease(self, interval: timedelta) -> bool:
        self.leases.append(interval.total_seconds())
        return True

    async def find(self) -> SpendingState:
        return SpendingState(self.stages, [BudgetWindow("+86", "hour", timedelta(seconds=539.5), self.spent)])

    async def traffic(self, *_: int) -> Mapping[str, PrefixTraffic]:
        self.clock.now += self.counting
        if self.fails:
            raise unavailable()
        return self.suspects

    async def change(self, change: StageChange, event: OutboxMessage) -> bool:
        self.clock.now += self.entering
        self.entered.append((change.scope, change.stage))
        self.changes.append(change)
        self.events.append(event)
        return True


def data_of(event: OutboxMessage) -> dict[str, Any]:
    return orjson.loads(event.body)["data"]


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository(Clock())


@pytest.fixture
def monitor(repository: FakeRepository) -> PrefixMonitor:
    return PrefixMonitor(repository, make_plan(("+86", "0.10", None)), lambda: None, clock=repository.clock)


async def test_the_monitor_rests_twenty_times_as_long_as_it_counted(
    monitor: PrefixMonitor, repository: FakeRepository
) -> None:
    for repository.counting in (0.01, 0.2, 0.0):
        await monitor.review()
    assert repository.leases == pytest.approx([1.0, 1.0, 4.0])


async def test_the_monitor_does_not_rest_after_entering_a_thousand_stages(
    monitor: PrefixMonitor, repository: FakeRepository
) -> None:
    repository.entering = 0.001
    repository.suspects = {f"range:+86138{last:04d}": PrefixTraffic(settled=20) for last in range(1000)}
    assert await monitor.review() == 1001
    await monitor.review()
    assert repository.leases == [1.0, 1.0]


async def test_the_monitor_rests_a_few_seconds_after_a_count_that_fails(
    monitor: PrefixMonitor, repository: FakeRepository
) -> None:
    repository.counting, repository.fails = 2.0, True
    for _ in range(2):
        with pytest.raises(ServiceError):
            await monitor.review()
    assert repository.leases == [1.0, MAX_REST_SECONDS]


async def test_budgets_enter_their_stages_even_if_the_count_fails(
    monitor: PrefixMonitor, repository: FakeRepository
) -> None:
    repository.fails = True
    with pytest.raises(ServiceError):
        await monitor.review()
    assert repository.entered == [("hour:+86", Stage.FLAGGED)]


async def test_a_budget_of_which_a_part_is_kept_for_known_callers_is_reserved_before_it_is_exhausted(
    repository: FakeRepository,
) -> None:
    plan = make_plan(("+86", "0.10", None), known_percent=20)
    monitor = PrefixMonitor(repository, plan, lambda: None, clock=repository.clock)
    repository.spent = 8 * CENT
    await monitor.review()
    assert [event.routing_key for event in repository.events] == ["sms.budget.warned.v1", "sms.budget.reserved.v1"]
    assert repository.entered[-1] == ("hour:+86", Stage.THROTTLED)


async def test_a_budget_has_an_event_for_each_stage_with_its_limit_and_the_seconds_of_its_window(
    monitor: PrefixMonitor, repository: FakeRepository
) -> None:
    repository.spent = 10 * CENT
    await monitor.review()
    assert [event.routing_key for event in repository.events] == ["sms.budget.warned.v1", "sms.budget.exhausted.v1"]
    assert data_of(repository.events[1]) == {
        "scope": "hour:+86",
        "prefix": "+86",
        "span": "hour",
        "spent_micros": 10 * CENT,
        "limit_micros": 10 * CENT,
        "currency": "CNY",
        "seconds": 540,
    }
    assert [(change.version, change.seconds, change.blocks) for change in repository.changes] == [
        (0, 540, 0),
        (1, 540, 1),
    ]
    assert [orjson.loads(event.body)["version"] for event in repository.events] == [1, 2]


async def test_a_budget_that_left_the_settings_file_is_renewed_with_a_limit_of_zero(
    repository: FakeRepository,
) -> None:
    repository.stages = {"hour:+86": CurrentStage(Stage.BLOCKED, expired=False, version=7)}
    await PrefixMonitor(repository, make_plan(), lambda: None).review()
    assert [event.routing_key for event in repository.events] == ["sms.budget.renewed.v1"]
    assert data_of(repository.events[0])["limit_micros"] == 0
    assert repository.changes[0].version == 7


async def test_a_prefix_is_blocked_for_longer_each_time_and_an_unblocked_one_is_forgiven(
    monitor: PrefixMonitor, repository: FakeRepository
) -> None:
    throttled = CurrentStage(Stage.THROTTLED, expired=True, blocks=2, version=5)
    repository.stages, repository.spent = {RANGE: throttled}, 0
    repository.suspects = {RANGE: PrefixTraffic(settled=80, spent=80 * CENT)}
    await monitor.review()
    (change,) = repository.changes
    assert (change.stage, change.seconds, change.blocks, change.version) == (Stage.BLOCKED, 4 * 3600, 3, 5)

    repository.stages = {RANGE: replace(throttled, stage=Stage.BLOCKED, expired=False, blocks=3)}
    assert await monitor.unblock(RANGE)
    change = repository.changes[-1]
    assert (change.stage, change.seconds, change.blocks) == (Stage.NONE, 0, 0)
    assert not await monitor.unblock("range:+861390013")


async def test_a_stage_is_logged_under_the_name_of_its_event(
    monitor: PrefixMonitor, repository: FakeRepository
) -> None:
    repository.spent = 0
    repository.suspects = {RANGE: PrefixTraffic(settled=20, settled_verified=1, spent=20 * CENT)}
    with capture_logs() as lines:
        await monitor.review()
    assert lines == [
        {
            "event": "prefix.flagged",
            "log_level": "warning",
            "scope": RANGE.replace("+", ""),
            "sent": 20,
            "verified": 1,
            "spent_micros": 20 * CENT,
            "seconds": 3600,
        }
    ]


class EndlessAlarm:
    """A monitor whose alarm goes off again with every review."""

    def __init__(self) -> None:
        self.alarm = asyncio.Event()
        self.alarm.set()
        self.reviewed = asyncio.Event()
        self.reviews: list[bool] = []

    async def review(self, *, alarmed: bool) -> int:
        self.reviews.append(alarmed)
        self.alarm.set()
        self.reviewed.set()
        return 0


@pytest.mark.parametrize(("pause", "min_reviews", "max_reviews"), [(3600.0, 1, 1), (0.0, 50, 201)])
async def test_an_endless_alarm_still_leaves_a_pause_between_two_reviews(
    monkeypatch: pytest.MonkeyPatch, repository: FakeRepository, pause: float, min_reviews: int, max_reviews: int
) -> None:
    monkeypatch.setattr(setup, "INTERVAL_ALARM_SECONDS", pause)
    monitor = EndlessAlarm()
    gate = SpendingGate(None, make_plan(), repository.clock)  # type: ignore[arg-type]
    async with setup.reviewing(monitor, gate, monitor.alarm):  # type: ignore[arg-type]
        await monitor.reviewed.wait()
        for _ in range(200):  # turns of the event loop; a review takes two or three
            await asyncio.sleep(0)
    assert all(monitor.reviews)
    assert min_reviews <= len(monitor.reviews) <= max_reviews
