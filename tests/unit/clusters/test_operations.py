"""What the check of clusters reads from the operations of its load."""

import math

import pytest
from clusters.operations import Operation, Operations

KINDS = ("code", "check")


def calls(*outcomes: tuple[float, float, bool]) -> Operations:
    return Operations([Operation("code", began, ended, succeeded) for began, ended, succeeded in outcomes])


def test_an_outage_ends_with_the_first_success_that_began_after_the_last_failure() -> None:
    load = calls((9, 9.1, True), (10, 10.3, False), (10.1, 12, True), (11, 11.2, False), (11.5, 11.6, True))
    assert load.back_after(10, 20, KINDS) == 11.6 - 10
    assert load.outage(9.5, 20, KINDS) == 11.6 - 10
    assert load.failures(10, 20) == 2


def test_an_outage_begins_with_the_first_failure_of_its_kind() -> None:
    load = calls((10, 10.1, True), (15, 15.3, False), (15.2, 15.5, True))
    assert load.back_after(10, 20, KINDS) == 5.5
    assert load.outage(10, 20, KINDS) == pytest.approx(0.5)


def test_failures_of_other_kinds_are_another_matter() -> None:
    assert calls((10, 10.3, False)).back_after(10, 20, ["charge"]) == 0


def test_without_a_failure_nothing_was_out() -> None:
    assert calls((10, 10.1, True)).back_after(10, 20, KINDS) == 0


def test_a_kind_of_call_that_never_succeeds_again_is_never_back() -> None:
    load = calls((10, 10.3, False))
    load.operations.append(Operation("check", 11, 11.1, succeeded=True))
    assert math.isinf(load.back_after(10, 20, KINDS))


def test_the_longest_silence_is_that_of_the_kind_that_waited_longest() -> None:
    load = Operations(arrivals={"message": [9, 11, 12, 19], "event": [10.5, 15, 19]})
    assert load.longest_silence(10, 20) == 7
