"""The statistics of ``make timing``: two sets of times that differ are told apart, and two that do not are not."""

import math
from random import Random

import pytest
from load.separation import MAX_T, Comparison, Trimmed, welch_t


def noisy(seed: int, shift: float = 0.0, count: int = 4000) -> list[float]:
    """Times around a millisecond, in seconds: mostly alike, now and then very late."""
    draw = Random(seed)
    return [1e-3 + shift + draw.gauss(0, 1e-4) + (0.05 if draw.random() < 0.03 else 0) for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_two_sets_of_the_same_times_are_not_separable(seed: int) -> None:
    assert not Comparison("call", noisy(seed), noisy(seed + 1000)).is_separable


@pytest.mark.parametrize("seed", range(20))
def test_a_tenth_of_the_noise_between_two_sets_is_separable(seed: int) -> None:
    comparison = Comparison("call", noisy(seed, shift=2e-5), noisy(seed + 1000))
    assert comparison.is_separable
    assert comparison.t > MAX_T
    assert "**separable**" in comparison.row()


def test_t_is_that_of_two_normal_sets() -> None:
    """A shift of one standard error gives a t of about one: its mean over many draws is not biased by the trimming."""
    count, spread = 500, 1e-4
    error = spread * math.sqrt(2 / count)
    ts = []
    for seed in range(200):
        draw = Random(seed)
        one, other = ([draw.gauss(shift, spread) for _ in range(count)] for shift in (error, 0.0))
        ts.append(welch_t(one, other))
    mean = sum(ts) / len(ts)
    assert 0.8 < mean < 1.2
    assert 0.85 < math.sqrt(sum((t - mean) ** 2 for t in ts) / len(ts)) < 1.15


def test_the_slowest_and_the_fastest_tenth_do_not_move_the_mean() -> None:
    times = [float(value) for value in range(1, 11)]
    assert Trimmed.of(times).mean == Trimmed.of([*times[:-1], 1e9]).mean == 5.5


def test_sets_without_any_spread_differ_or_not() -> None:
    assert welch_t([1.0] * 10, [1.0] * 10) == 0
    assert welch_t([2.0] * 10, [1.0] * 10) == math.inf
    assert welch_t([1.0] * 10, [2.0] * 10) == -math.inf
