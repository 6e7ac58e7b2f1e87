"""Who is asked to carry a message: the longest prefix, the order, the shares, and who is left out."""

from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.events import new_id
from shared.phone import E164
from sms_service.delivery.routing import Limits, PreviousAttempt, Route, Router

NUMBER = E164("+8613800138000")
CODE = uuid4()


def past(sender: str, outcome: str, *, code: UUID = CODE, **ago: float) -> PreviousAttempt:
    return PreviousAttempt(sender, code, outcome, timedelta(**(ago or {"seconds": 90})))


def choose(router: Router, *history: PreviousAttempt, tried: str | None = None) -> str | None:
    choice = router.choose(NUMBER, new_id(), CODE, history, tried)
    return choice.sender or choice.failure


@pytest.mark.parametrize(
    ("number", "expected"),
    [("+8613800138000", "mainland"), ("+85261234567", "hong-kong"), ("+4915112345678", "world")],
)
def test_the_longest_prefix_decides(number: str, expected: str) -> None:
    routes = [
        Route("+", ("world",)),
        Route("+852", ("hong-kong",)),
        Route("+8", ("asia",)),
        Route("+86", ("mainland",)),
    ]
    route = Router(routes, {}).route(E164(number))
    assert route is not None
    assert route.senders == (expected,)


def test_a_number_without_a_route_is_not_sent_to() -> None:
    assert choose(Router([Route("+852", ("a",))], {})) == "no_route"


def test_senders_are_asked_in_their_order_and_weights_share_out_the_first() -> None:
    assert Route("+", ("a", "b")).order(uuid4()) == ["a", "b"]
    route = Route("+", ("a", "b", "c"), (70, 30, 1))
    first = Counter(route.order(new_id())[0] for _ in range(4000))
    assert 0.64 < first["a"] / 4000 < 0.75
    assert first["c"] < 100
    message = new_id()
    assert route.order(message) == route.order(message)
    assert sorted(route.order(message)) == ["a", "b", "c"]


def test_a_sender_that_failed_for_this_code_is_not_tried_again_for_it() -> None:
    router = Router([Route("+", ("a", "b"))], {})
    assert choose(router) == "a"
    assert choose(router, tried="a") == "b"
    for outcome in ("transient", "refused", "undelivered", "abandoned", "misconfigured"):
        assert choose(router, past("a", outcome)) == "b"
    assert choose(router, past("a", "refused"), tried="b") == "exhausted"
    assert choose(router, past("a", "refused", code=uuid4())) == "a"
    assert choose(router, past("a", "accepted")) == "a"


def test_with_nobody_else_left_a_failure_that_may_be_over_is_tried_anew_when_the_person_asks_anew() -> None:
    router = Router([Route("+", ("a", "b"))], {})
    assert choose(router, past("a", "transient"), past("b", "undelivered")) == "a"
    assert choose(router, past("a", "refused"), past("b", "transient")) == "b"
    assert choose(router, past("a", "refused"), past("b", "invalid_number")) == "exhausted"
    assert choose(router, past("b", "transient"), tried="a") == "exhausted"


@pytest.mark.parametrize(
    ("agos", "allowed"),
    [
        ([59], False),
        ([61], True),
        ([61, 700, 1300, 1900], True),
        ([61, 700, 1300, 1900, 3500], False),
        ([4000 * i for i in range(1, 11)], False),
        ([4000 * i for i in range(1, 10)], True),
        ([90_000] * 20, True),
    ],
)
def test_a_senders_own_limits_are_rolling_windows(agos: list[int], *, allowed: bool) -> None:
    limits = Limits(per_minute=1, per_hour=5, per_day=10)
    assert limits.allow([timedelta(seconds=ago) for ago in agos]) is allowed


def test_a_sender_at_its_limit_is_passed_over_and_only_what_it_took_counts() -> None:
    router = Router([Route("+", ("a", "b"))], {"a": Limits(per_minute=1), "b": Limits(per_minute=1)})
    assert choose(router, past("a", "accepted", seconds=30)) == "b"
    assert choose(router, past("a", "refused", seconds=30, code=uuid4())) == "a"
    assert choose(router, past("a", "", seconds=1), past("b", "accepted", seconds=1)) == "rate_limited"


def test_a_sender_whose_breaker_is_open_is_passed_over() -> None:
    sick = {"a"}
    router = Router([Route("+", ("a", "b"))], {}, sick.__contains__)
    assert choose(router) == "b"
    sick.add("b")
    assert choose(router) == "circuit_open"
