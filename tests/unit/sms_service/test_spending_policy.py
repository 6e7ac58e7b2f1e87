"""When a prefix is flagged, throttled and blocked, and when a budget is warned about, as pure functions."""

import pytest

from sms_service.spending.policy import (
    BUCKET_SECONDS,
    BUDGET_STAGE_NAMES,
    MAX_BLOCK_SECONDS,
    STAGE_NAMES,
    THROTTLE_SECONDS,
    WINDOW_SECONDS,
    BudgetUse,
    CurrentStage,
    PrefixTraffic,
    Rule,
    Stage,
    block_seconds,
    budget_stage,
    next_budget_stages,
    next_stages,
)

RULE = Rule(flag=20, throttle=40, block=80, per_minute=6, percent=25)
NONE, FLAG, THROTTLE, BLOCK = Stage


def settled(sent: int, verified: int = 0) -> PrefixTraffic:
    return PrefixTraffic(settled=sent, settled_verified=verified)


def young(sent: int, verified: int = 0) -> PrefixTraffic:
    return PrefixTraffic(young=sent, young_verified=verified)


def test_stages_rise_from_none_to_blocked() -> None:
    assert list(Stage) == [0, 1, 2, 3]
    assert list(STAGE_NAMES.items()) == [(FLAG, "flagged"), (THROTTLE, "throttled"), (BLOCK, "blocked")]
    assert list(BUDGET_STAGE_NAMES.items()) == [(FLAG, "warned"), (THROTTLE, "reserved"), (BLOCK, "exhausted")]


def test_the_times_of_the_policy_fit_together() -> None:
    assert (BUCKET_SECONDS, THROTTLE_SECONDS, WINDOW_SECONDS, MAX_BLOCK_SECONDS) == (300, 600, 3600, 86_400)


def test_traffic_and_stages_begin_at_nothing() -> None:
    assert PrefixTraffic() == PrefixTraffic(0, 0, 0, 0, 0)
    assert CurrentStage() == CurrentStage(NONE, expired=True, blocks=0, version=0)


def test_sent_and_verified_are_sums_of_settled_and_young() -> None:
    traffic = PrefixTraffic(settled=100, settled_verified=20, young=7, young_verified=3, spent=9)
    assert (traffic.sent, traffic.verified) == (107, 23)


@pytest.mark.parametrize(
    ("traffic", "size"),
    [
        (PrefixTraffic(), 0),
        (settled(10, 4), 10),
        (young(1), 0),
        (young(2), 1),
        (young(3), 1),
        (young(10, 4), 7),
        (young(10, 10), 10),
        (young(4, 6), 4),  # codes of earlier sends were verified in this bucket
        (PrefixTraffic(settled=10, settled_verified=1, young=10, young_verified=4), 17),
    ],
)
def test_a_young_unverified_send_counts_as_half_of_the_sample(traffic: PrefixTraffic, size: int) -> None:
    assert traffic.sample_size == size


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        (PrefixTraffic(), NONE),
        (settled(19), NONE),
        (settled(20), FLAG),
        (settled(20, 4), FLAG),
        (settled(20, 5), NONE),  # a quarter is enough
        (settled(39), FLAG),
        (settled(40), THROTTLE),
        (settled(79), THROTTLE),
        (settled(80), BLOCK),
        (settled(80, 19), BLOCK),
        (settled(80, 20), NONE),
        (settled(10_000, 2_499), BLOCK),
        (young(39), NONE),  # each counts as one half
        (young(40), FLAG),
        (young(79), FLAG),
        (young(80), THROTTLE),
        (young(10_000), THROTTLE),  # codes that are still valid never block a prefix
        (young(40, 15), NONE),
        (PrefixTraffic(settled=20, young=40), THROTTLE),
        (PrefixTraffic(settled=79, young=2), THROTTLE),
        (PrefixTraffic(settled=80, settled_verified=20, young=200), THROTTLE),  # the settled sends are good enough
        (PrefixTraffic(settled=80, young=30, young_verified=29), NONE),  # its users verify their codes again
        (PrefixTraffic(settled=5, settled_verified=9), NONE),  # verified codes of sends from an earlier bucket
    ],
)
def test_the_traffic_of_a_prefix_calls_for_a_stage(traffic: PrefixTraffic, expected: Stage) -> None:
    assert RULE.stage_for(traffic) is expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(20, 40, 0, 6, 25), THROTTLE),
        (Rule(20, 0, 0, 6, 25), FLAG),
        (Rule(0, 0, 0, 6, 25), NONE),
        (Rule(0, 0, 80, 6, 25), BLOCK),
        (Rule(0, 40, 0, 6, 25), THROTTLE),
    ],
)
def test_a_threshold_of_zero_switches_its_stage_off(rule: Rule, expected: Stage) -> None:
    assert rule.stage_for(settled(500)) is expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(1, 0, 0, 6, 25), FLAG),
        (Rule(0, 1, 0, 6, 25), THROTTLE),
        (Rule(0, 0, 1, 6, 25), BLOCK),
    ],
)
def test_a_threshold_of_one_is_reached_by_the_first_send(rule: Rule, expected: Stage) -> None:
    assert rule.stage_for(settled(1)) is expected
    assert rule.stage_for(settled(0)) is NONE


@pytest.mark.parametrize("percent", [1, 100])
def test_the_verified_percentage_is_exclusive_at_both_ends(percent: int) -> None:
    rule = Rule(1, 0, 0, 6, percent)
    assert rule.stage_for(settled(100, percent)) is NONE
    assert rule.stage_for(settled(100, percent - 1)) is FLAG


def test_a_rule_names_its_thresholds_and_its_alarm() -> None:
    assert (RULE.thresholds, RULE.alarm_sends) == ([20, 40, 80], 80)
    assert (Rule(1, 0, 3, 6, 25).thresholds, Rule(1, 0, 3, 6, 25).alarm_sends) == ([1, 3], 0)
    assert RULE.stage_for(young(RULE.alarm_sends)) is THROTTLE
    assert RULE.stage_for(young(RULE.alarm_sends - 1)) is FLAG


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        (CurrentStage(), NONE, []),
        (CurrentStage(), FLAG, [FLAG]),
        (CurrentStage(), BLOCK, [FLAG, THROTTLE, BLOCK]),
        (CurrentStage(FLAG, expired=False), FLAG, []),
        (CurrentStage(FLAG, expired=True), FLAG, []),
        (CurrentStage(FLAG, expired=False), THROTTLE, [THROTTLE]),
        (CurrentStage(FLAG, expired=False), BLOCK, [THROTTLE, BLOCK]),
        (CurrentStage(FLAG, expired=False), NONE, []),
        (CurrentStage(FLAG, expired=True), NONE, [NONE]),
        (CurrentStage(THROTTLE, expired=False), THROTTLE, []),
        (CurrentStage(THROTTLE, expired=False), NONE, []),  # throttling lasts its time
        (CurrentStage(THROTTLE, expired=False), FLAG, []),
        (CurrentStage(THROTTLE, expired=True), NONE, [NONE]),
        (CurrentStage(THROTTLE, expired=True), FLAG, [FLAG]),
        (CurrentStage(THROTTLE, expired=True), THROTTLE, []),
        (CurrentStage(THROTTLE, expired=True), BLOCK, [BLOCK]),
        (CurrentStage(THROTTLE, expired=False), BLOCK, [BLOCK]),
        (CurrentStage(BLOCK, expired=False), NONE, []),
        (CurrentStage(BLOCK, expired=False), BLOCK, []),
        (CurrentStage(BLOCK, expired=True), BLOCK, [THROTTLE]),
        (CurrentStage(BLOCK, expired=True), NONE, [THROTTLE]),
    ],
)
def test_a_prefix_enters_its_stages_one_by_one(current: CurrentStage, wanted: Stage, expected: list[Stage]) -> None:
    stages = list(next_stages(current, wanted, RULE))
    assert stages == expected
    assert all(isinstance(stage, Stage) for stage in stages)


def test_without_throttling_a_block_ends_at_once() -> None:
    rule = Rule(20, 0, 80, 6, 25)
    assert next_stages(CurrentStage(BLOCK, expired=True), BLOCK, rule) == [NONE]
    assert next_stages(CurrentStage(BLOCK, expired=False), BLOCK, rule) == []


def test_each_block_lasts_twice_as_long_as_the_one_before_up_to_a_day() -> None:
    assert [block_seconds(3600, blocks) for blocks in (0, 1, 2, 4, 5, 10_000)] == [
        3600,
        7200,
        14_400,
        57_600,
        86_400,
        86_400,
    ]
    assert [block_seconds(60, blocks) for blocks in (10, 11)] == [61_440, 86_400]


@pytest.mark.parametrize(
    ("spent", "stage", "expected"),
    [
        (0, NONE, NONE),
        (79, NONE, NONE),
        (80, NONE, FLAG),
        (97, NONE, FLAG),
        (98, NONE, BLOCK),  # the cheapest message costs three
        (100, NONE, BLOCK),
        (130, FLAG, BLOCK),  # the limit was lowered
        (96, FLAG, FLAG),
        (96, BLOCK, BLOCK),  # a message or two was refunded
        (95, BLOCK, FLAG),
        (80, BLOCK, FLAG),
        (79, BLOCK, NONE),
    ],
)
def test_the_spending_of_a_budget_calls_for_a_stage(spent: int, stage: Stage, expected: Stage) -> None:
    assert budget_stage(BudgetUse(spent, 100, 3), 80, CurrentStage(stage, expired=False)) is expected


@pytest.mark.parametrize(
    ("spent", "stage", "expected"),
    [
        (7_999, NONE, NONE),
        (8_000, NONE, FLAG),
        (9_501, BLOCK, BLOCK),
        (9_500, BLOCK, FLAG),
    ],
)
def test_the_thresholds_of_a_large_budget_are_exact(spent: int, stage: Stage, expected: Stage) -> None:
    assert budget_stage(BudgetUse(spent, 10_000, 3), 80, CurrentStage(stage, expired=False)) is expected


def test_an_expired_exhaustion_does_not_need_a_twentieth_of_the_budget_to_end() -> None:
    assert budget_stage(BudgetUse(96, 100, 3), 80, CurrentStage(BLOCK, expired=True)) is FLAG


@pytest.mark.parametrize(("spent", "expected"), [(99, FLAG), (100, BLOCK), (101, BLOCK)])
def test_without_prices_a_budget_is_exhausted_when_nothing_of_it_is_left(spent: int, expected: Stage) -> None:
    assert budget_stage(BudgetUse(spent, 100, 0), 80, CurrentStage()) is expected


def test_a_budget_of_zero_is_exhausted_even_if_messages_cost_nothing() -> None:
    assert budget_stage(BudgetUse(0, 0, 0), 80, CurrentStage()) is BLOCK


@pytest.mark.parametrize(
    ("spent", "stage", "expected"),
    [
        (59, NONE, NONE),
        (60, NONE, FLAG),
        (77, NONE, FLAG),
        (78, NONE, THROTTLE),  # strangers have 80, and the cheapest message costs three
        (97, NONE, THROTTLE),
        (98, NONE, BLOCK),
        (76, THROTTLE, THROTTLE),  # a message or two was refunded
        (75, THROTTLE, FLAG),
        (76, BLOCK, THROTTLE),
        (75, BLOCK, FLAG),
        (95, BLOCK, THROTTLE),
    ],
)
def test_what_is_kept_of_a_budget_for_known_callers_is_a_stage_before_it_is_exhausted(
    spent: int, stage: Stage, expected: Stage
) -> None:
    assert budget_stage(BudgetUse(spent, 100, 3, kept=20), 60, CurrentStage(stage, expired=False)) is expected


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        (CurrentStage(), NONE, []),
        (CurrentStage(), FLAG, [FLAG]),
        (CurrentStage(), THROTTLE, [FLAG, THROTTLE]),
        (CurrentStage(), BLOCK, [FLAG, BLOCK]),
        (CurrentStage(FLAG, expired=False), THROTTLE, [THROTTLE]),
        (CurrentStage(THROTTLE, expired=False), BLOCK, [BLOCK]),
        (CurrentStage(THROTTLE, expired=False), FLAG, [FLAG]),
        (CurrentStage(THROTTLE, expired=True), FLAG, [NONE]),
        (CurrentStage(FLAG, expired=False), FLAG, []),
        (CurrentStage(FLAG, expired=False), BLOCK, [BLOCK]),
        (CurrentStage(FLAG, expired=False), NONE, [NONE]),
        (CurrentStage(BLOCK, expired=False), FLAG, [FLAG]),
        (CurrentStage(BLOCK, expired=False), NONE, [NONE]),
        (CurrentStage(BLOCK, expired=False), BLOCK, []),
        (CurrentStage(BLOCK, expired=True), BLOCK, [NONE]),  # a new window: it is renewed before it is reviewed
        (CurrentStage(FLAG, expired=True), NONE, [NONE]),
        (CurrentStage(NONE, expired=False), BLOCK, [FLAG, BLOCK]),
    ],
)
def test_a_budget_is_warned_about_reserved_exhausted_and_renewed(
    current: CurrentStage, wanted: Stage, expected: list[Stage]
) -> None:
    assert list(next_budget_stages(current, wanted)) == expected
