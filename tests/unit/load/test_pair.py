"""``make bench-pair``: names of operations, and a ratio of two measurements that followed each other."""

import pytest
from load.pair_operations import Cost, Measurement
from load.pair_report import Comparison, report


def cost(gateway: float, worker: float, switches: float = 1.0) -> Cost:
    return Cost({"gateway": gateway, "sms-worker": worker}, {"gateway": switches, "sms-worker": 0.0}, [0.001, 0.002])


def test_an_operation_of_one_client_makes_a_quarter_of_the_requests() -> None:
    many, one = Measurement.named("send", 400, 16), Measurement.named("send-one", 400, 16)
    assert (many.clients, many.count) == (16, 400)
    assert (one.clients, one.count) == (1, 100)


def test_log_ins_are_made_by_few_clients() -> None:
    assert Measurement.named("log-in", 400, 64).clients == 4
    assert Measurement.named("refresh", 400, 64).clients == 64


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(KeyError):
        Measurement.named("fly", 400, 16)


def test_ratios_compare_the_measurements_of_one_turn() -> None:
    """The machine became three times slower in the second turn: the ratio of the medians would show it, these do not."""
    comparison = Comparison(Measurement.named("send", 400, 16))
    comparison.this = [cost(0.5, 0.5), cost(1.5, 1.5)]
    comparison.other = [cost(1.0, 1.0), cost(3.0, 3.0)]
    assert comparison.ratios == [0.5, 0.5]


def test_the_report_has_a_row_for_each_operation_and_one_for_each_of_its_processes() -> None:
    comparison = Comparison(Measurement.named("send", 100, 16), this=[cost(0.5, 0.5, 3.0)], other=[cost(1.0, 1.0)])
    lines = list(report([comparison], bare_ms=[0.1]))
    assert "| send | 16 | 100 | 1.00 | 2.00 | **0.50** | 0.50 to 0.50 | 10.0 | 20.0 | 1.0 / 2.0 | 1.0 / 2.0 |" in lines
    assert "| send | gateway | 0.50 | 1.00 | 3.00 | 1.00 |" in lines
    assert "| send | sms-worker | 0.50 | 1.00 | 0.00 | 0.00 |" in lines
