"""The callers who were refused for their limit: how long they are remembered, as what, and how many."""

from ipaddress import ip_address

from gateway.flows.number_filter.refused_callers import MAX_CALLERS, MIN_SECONDS, RefusedCallers
from shared.networks import RequestSource


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def source(address: str, user_id: int | None = None) -> RequestSource:
    return RequestSource(ip_address(address), user_id=user_id)


CALLER = source("2001:db8:7::1")


def remembered_for(retry_after: int | None) -> float:
    """How many seconds a caller is remembered."""
    clock = Clock()
    callers = RefusedCallers(clock)
    callers.add(CALLER, retry_after)
    while CALLER in callers:
        clock.seconds += 1
    return clock.seconds - Clock.seconds


def test_a_caller_is_remembered_until_the_limit_allows_another_try_and_a_minute_at_least() -> None:
    assert CALLER not in RefusedCallers()
    assert [remembered_for(seconds) for seconds in (None, 1, 600)] == [MIN_SECONDS, MIN_SECONDS, 600]


def test_a_later_refusal_does_not_shorten_the_time() -> None:
    clock = Clock()
    callers = RefusedCallers(clock)
    callers.add(CALLER, 600)
    callers.add(CALLER, 1)
    clock.seconds += 599
    assert CALLER in callers


def test_it_is_the_site_or_the_user_that_is_remembered_as_the_limits_count() -> None:
    callers = RefusedCallers()
    callers.add(CALLER, None)
    assert source("2001:db8:7:ffff::2") in callers
    assert source("2001:db8:8::1") not in callers
    assert source("2001:db8:7::1", user_id=7) not in callers

    callers.add(source("192.0.2.1", user_id=7), None)
    assert source("198.51.100.1", user_id=7) in callers
    assert source("192.0.2.1") not in callers


def test_of_too_many_callers_the_oldest_is_forgotten() -> None:
    callers, sources = RefusedCallers(), [RequestSource(None, user_id=user) for user in range(MAX_CALLERS + 1)]
    for each in sources:
        callers.add(each, 600)
    assert [each for each in sources if each not in callers] == sources[:1]
