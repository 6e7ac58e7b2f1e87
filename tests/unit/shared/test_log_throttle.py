"""Reports are limited to one a minute for each source, and to a number of sources."""

from shared.audit.log_throttle import LogThrottle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_source_is_reported_once_a_minute() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    assert [throttle.allow(source) for source in ("one", "one", "other", "one")] == [True, False, True, False]
    clock.now += 59
    assert not throttle.allow("one")
    clock.now += 1
    assert [throttle.allow("one") for _ in range(2)] == [True, False]


def test_too_many_sources_are_not_reported_until_the_minute_is_over() -> None:
    clock = Clock()
    throttle = LogThrottle(clock, max_sources=2)
    assert [throttle.allow(source) for source in "abc"] == [True, True, False]
    clock.now += 60
    assert throttle.allow("c")
