"""The report of ``make bench-long``: which minute is full, and what it says was used up."""

from collections import Counter

from load.endurance import Minute
from load.processes import ALL_CORES

OURS = ("gateway", "sms-service")


def minute(*, gateway: float = 0.5, postgres: float = 0.1, late: int = 0) -> Minute:
    """A minute of ten visits a second."""
    return Minute(10.0, late=late, shares={"gateway": gateway, "sms-service": 0.2, "postgres": postgres})


def test_a_minute_is_full_when_calls_fail_or_more_than_a_seconds_visits_are_late() -> None:
    assert not minute(late=10).is_full
    assert minute(late=11).is_full
    failed = minute()
    failed.failures["503"] += 1
    assert failed.is_full


def test_a_process_without_a_core_left_for_its_thread_is_used_up() -> None:
    assert minute(gateway=0.95).used_up(OURS) == "gateway at 95% of a core"
    assert minute(postgres=0.95).used_up(OURS) == "nothing that is measured here"


def test_callers_that_waited_for_a_pool_are_named() -> None:
    waited = minute()
    waited.waiting = Counter({"postgresql of sms_service": 7})
    assert waited.used_up(OURS) == "7 waited for postgresql of sms_service"


def test_all_cores_are_used_up_by_all_processes_together() -> None:
    cores = len(ALL_CORES)
    assert minute(postgres=cores).used_up(OURS) == f"all cores ({cores + 0.7:.1f} of {cores})"


def test_a_row_has_the_p99_of_each_operation_in_milliseconds() -> None:
    measured = minute()
    for name in ("send code", "check and sign-up", "check session", "refresh", "match"):
        measured.times[name] = [0.002] * 99 + [0.25] * 2
    row = measured.row(3)
    assert row.startswith("| 3 | 10 | 8 | 0 | 0 | 2.0 |" + " 250 |" * 5)
