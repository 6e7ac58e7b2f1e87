"""Which sender gets a message: the longest prefix, the order of the route, the weights, and who is skipped."""

from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.events.envelope import new_id
from shared.phone import E164
from sms_service.delivery.routing import PreviousAttempt, Route, Router
from sms_service.senders.limits import SenderLimits

NUMBER = E164("+8613800138000")
VERIFICATION = uuid4()


def attempt(sender: str, outcome: str, *, verification_id: UUID = VERIFICATION, **age: float) -> PreviousAttempt:
    return PreviousAttempt(sender, verification_id, outcome, timedelta(**(age or {"seconds": 90})))


def choose(router: Router, *previous: PreviousAttempt, failed_sender: str | None = None) -> str | None:
    choice = router.choose(NUMBER, new_id(), VERIFICATION, previous, failed_sender=failed_sender)
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
    route = Router(routes, {}).route_for(E164(number))
    assert route is not None
    assert route.senders == (expected,)


def test_a_number_without_a_route_is_not_sent_to() -> None:
    assert choose(Router([Route("+852", ("a",))], {})) == "no_route"


def test_senders_are_tried_in_their_order_and_weights_divide_the_first_places() -> None:
    assert Route("+", ("a", "b")).order(uuid4()) == ["a", "b"]
    route = Route("+", ("a", "b", "c"), (70, 30, 1))
    first = Counter(route.order(new_id())[0] for _ in range(4000))
    assert 0.64 < first["a"] / 4000 < 0.75
    assert first["c"] < 100
    message_id = new_id()
    assert route.order(message_id) == route.order(message_id)
    assert sorted(route.order(message_id)) == ["a", "b", "c"]


def test_a_sender_that_failed_for_this_code_is_not_tried_again_for_it() -> None:
    router = Router([Route("+", ("a", "b"))], {})
    assert choose(router) == "a"
    assert choose(router, failed_sender="a") == "b"
    for outcome in ("transient", "refused", "undelivered", "abandoned", "misconfigured"):
        assert choose(router, attempt("a", outcome)) == "b"
    assert choose(router, attempt("a", "refused"), failed_sender="b") == "exhausted"
    assert choose(router, attempt("a", "refused", verification_id=uuid4())) == "a"
    assert choose(router, attempt("a", "accepted")) == "a"


def test_a_sender_with_a_temporary_failure_is_tried_again_on_a_new_request_if_no_other_is_left() -> None:
    router = Router([Route("+", ("a", "b"))], {})
    assert choose(router, attempt("a", "transient"), attempt("b", "undelivered")) == "a"
    assert choose(router, attempt("a", "refused"), attempt("b", "transient")) == "b"
    assert choose(router, attempt("a", "refused"), attempt("b", "invalid_number")) == "exhausted"
    assert choose(router, attempt("b", "transient"), failed_sender="a") == "exhausted"


@pytest.mark.parametrize(
    ("ages", "allowed"),
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
def test_the_limits_of_a_sender_are_rolling_windows(ages: list[int], *, allowed: bool) -> None:
    limits = SenderLimits(per_minute=1, per_hour=5, per_day=10)
    assert limits.allow([timedelta(seconds=age) for age in ages]) is allowed


def test_a_sender_at_its_limit_is_skipped_and_only_messages_it_may_have_taken_count() -> None:
    limits = SenderLimits(per_minute=1)
    router = Router([Route("+", ("a", "b"))], {"a": limits, "b": limits})
    assert choose(router, attempt("a", "accepted", seconds=30)) == "b"
    assert choose(router, attempt("a", "refused", seconds=30, verification_id=uuid4())) == "a"
    assert choose(router, attempt("a", "", seconds=1), attempt("b", "accepted", seconds=1)) == "rate_limited"


def test_a_sender_with_an_open_circuit_breaker_is_skipped() -> None:
    open_breakers = {"a"}
    router = Router([Route("+", ("a", "b"))], {}, open_breakers.__contains__)
    assert choose(router) == "b"
    open_breakers.add("b")
    assert choose(router) == "circuit_open"
