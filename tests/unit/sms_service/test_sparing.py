"""What is said once a minute for each, and no more than so much in all."""

from sms_service.callers.log_throttle import LogThrottle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_thing_is_said_once_a_minute_for_each() -> None:
    clock = Clock()
    sparing = LogThrottle(clock)
    assert [sparing.allow(who) for who in ("one", "one", "other", "one")] == [True, False, True, False]
    clock.now += 59
    assert not sparing.allow("one")
    clock.now += 1
    assert [sparing.allow("one") for _ in range(2)] == [True, False]


def test_when_there_are_too_many_the_rest_stay_unsaid_until_the_minute_is_over() -> None:
    clock = Clock()
    sparing = LogThrottle(clock, most=2)
    assert [sparing.allow(who) for who in "abc"] == [True, True, False]
    clock.now += 60
    assert sparing.allow("c")
