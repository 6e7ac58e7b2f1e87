"""When a prefix is recorded, slowed and stopped, as pure functions: thresholds, young codes, time."""

import pytest

from sms_service.spending.policy import (
    Counts,
    Held,
    Rule,
    Stage,
    block_seconds,
    deserved_by_money,
    steps,
    steps_of_money,
)

RULE = Rule(record=20, slow=40, stop=80, per_minute=6, percent=25)
NONE, RECORD, SLOW, STOP = Stage


def settled(sent: int, verified: int = 0) -> Counts:
    return Counts(settled=sent, settled_verified=verified)


def young(sent: int, verified: int = 0) -> Counts:
    return Counts(young=sent, young_verified=verified)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(), NONE),
        (settled(19), NONE),
        (settled(20), RECORD),
        (settled(20, 4), RECORD),
        (settled(20, 5), NONE),  # a quarter is enough
        (settled(40), SLOW),
        (settled(79), SLOW),
        (settled(80), STOP),
        (settled(80, 20), NONE),
        (settled(10_000, 2_499), STOP),
        (young(39), NONE),  # each half a failure
        (young(40), RECORD),
        (young(80), SLOW),
        (young(10_000), SLOW),  # never stopped on codes that still live
        (young(40, 15), NONE),
        (Counts(settled=20, young=40), SLOW),
        (Counts(settled=80, young=30, young_verified=29), NONE),  # its users are signing in again
        (Counts(settled=5, settled_verified=9), NONE),  # of sends that were counted before
    ],
)
def test_what_counts_deserve(counts: Counts, expected: Stage) -> None:
    assert RULE.deserved(counts) is expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(20, 40, 0, 6, 25), SLOW),
        (Rule(20, 0, 0, 6, 25), RECORD),
        (Rule(0, 0, 0, 6, 25), NONE),
        (Rule(0, 0, 80, 6, 25), STOP),
    ],
)
def test_a_threshold_of_zero_is_never_reached(rule: Rule, expected: Stage) -> None:
    assert rule.deserved(settled(500)) is expected


@pytest.mark.parametrize(
    ("held", "deserved", "expected"),
    [
        (Held(), NONE, []),
        (Held(), RECORD, [RECORD]),
        (Held(), STOP, [RECORD, SLOW, STOP]),
        (Held(RECORD, over=False), SLOW, [SLOW]),
        (Held(SLOW, over=False), SLOW, []),
        (Held(SLOW, over=False), NONE, []),  # it takes its time
        (Held(SLOW, over=True), NONE, [NONE]),
        (Held(SLOW, over=True), RECORD, [RECORD]),
        (Held(SLOW, over=True), STOP, [STOP]),
        (Held(STOP, over=False), NONE, []),
        (Held(STOP, over=False), STOP, []),
        (Held(STOP, over=True), STOP, [SLOW]),
        (Held(STOP, over=True), NONE, [SLOW]),
    ],
)
def test_stages_are_entered_one_by_one(held: Held, deserved: Stage, expected: list[Stage]) -> None:
    assert list(steps(held, deserved, RULE)) == expected


def test_a_stop_of_a_rule_that_slows_nobody_just_ends() -> None:
    assert steps(Held(STOP, over=True), STOP, Rule(20, 0, 80, 6, 25)) == [NONE]


def test_each_stop_lasts_twice_as_long_as_the_one_before_up_to_a_day() -> None:
    assert [block_seconds(3600, stops) for stops in (0, 1, 2, 4, 5, 10_000)] == [3600, 7200, 14400, 57600, 86400, 86400]


@pytest.mark.parametrize(
    ("spent", "held", "expected"),
    [
        (79, NONE, NONE),
        (80, NONE, RECORD),
        (97, NONE, RECORD),
        (98, NONE, STOP),  # the cheapest message costs three
        (100, NONE, STOP),
        (130, RECORD, STOP),  # the budget was made smaller
        (96, STOP, STOP),  # a message or two was given back
        (95, STOP, RECORD),
    ],
)
def test_what_a_budget_deserves(spent: int, held: Stage, expected: Stage) -> None:
    assert deserved_by_money(spent, 100, 3, 80, Held(held, over=False)) is expected


def test_a_budget_of_nothing_stops_everybody_even_where_messages_cost_nothing() -> None:
    assert deserved_by_money(0, 0, 0, 80, Held()) is STOP


@pytest.mark.parametrize(
    ("held", "deserved", "expected"),
    [
        (Held(), STOP, [RECORD, STOP]),
        (Held(RECORD, over=False), STOP, [STOP]),
        (Held(RECORD, over=False), NONE, [NONE]),
        (Held(STOP, over=False), RECORD, [RECORD]),
        (Held(STOP, over=False), STOP, []),
        (Held(STOP, over=True), STOP, [NONE]),  # a new window: told before it is judged
        (Held(RECORD, over=True), NONE, [NONE]),
    ],
)
def test_budgets_warn_and_stop_and_slow_nobody(held: Held, deserved: Stage, expected: list[Stage]) -> None:
    assert list(steps_of_money(held, deserved)) == expected
