"""What the comparison of calls beside an import counts as a failure."""

from collections import Counter
from collections.abc import Sequence

import pytest
from rehearsal.live_traffic import Times, print_comparison

QUIET = [0.010] * 99 + [0.050]
"""The p99 is 10 ms, so one call of the quiet system is slower than twice that."""


def is_good(beside: Sequence[float], refusals: int = 0) -> bool:
    times = Times(list(beside), Counter({503: refusals}))
    return print_comparison({"GET /v2/me": Times(list(QUIET))}, {"GET /v2/me": times})


def test_calls_that_are_as_fast_as_without_an_import_are_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert is_good(QUIET)
    assert "| GET /v2/me | 100 | 10.0, 10.0 | 10.0, 10.0 | 1.0 | 50.0, 50.0 | 1, 1 | 0, 0 |" in capsys.readouterr().out


def test_as_many_slow_calls_as_without_the_import_are_good() -> None:
    assert is_good([0.015] * 99 + [0.400])


def test_more_slow_calls_than_without_the_import_fail_even_if_the_p99_is_good() -> None:
    quiet, beside = Times(QUIET * 3), Times([0.010] * 296 + [0.050] * 4)

    assert not print_comparison({"GET /v2/me": quiet}, {"GET /v2/me": beside})


def test_a_p99_of_more_than_twice_the_quiet_one_fails() -> None:
    assert not is_good([0.010] * 98 + [0.021] * 2)


def test_a_refused_call_fails() -> None:
    assert not is_good(QUIET, refusals=1)
