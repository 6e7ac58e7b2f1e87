"""What `make mutation` found untested in routing: the edges of weights, open attempts, and a choice without a sender."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.phone import E164
from sms_service.delivery.routing import PreviousAttempt, Route, Router, SenderChoice

NUMBER = E164("+8613800138000")
MESSAGES = [UUID(int=number) for number in range(64)]


def test_equal_weights_give_each_sender_messages() -> None:
    first = {Route("+", ("a", "b"), (1, 1)).order(message_id)[0] for message_id in MESSAGES}
    assert first == {"a", "b"}


def test_a_message_is_offered_first_to_the_sender_that_its_own_id_selects() -> None:
    route = Route("+", ("a", "b"), (1, 1))
    chosen = [Router([route], {}).choose(NUMBER, message_id, uuid4(), ()).sender for message_id in MESSAGES]
    assert chosen == [route.order(message_id)[0] for message_id in MESSAGES]


def test_weights_that_do_not_match_the_senders_are_an_error() -> None:
    route = Route("+", ("a",), (1, 1))
    with pytest.raises(ValueError, match="longer"):
        [route.order(message_id) for message_id in MESSAGES]


def test_a_number_without_a_route_has_no_sender_and_a_failure() -> None:
    assert Router([], {}).choose(NUMBER, uuid4(), uuid4(), ()) == SenderChoice(None, "no_route")


def test_an_open_attempt_is_not_a_failure() -> None:
    verification_id = uuid4()
    attempt = PreviousAttempt("a", verification_id, "", timedelta(seconds=90))
    assert Router([Route("+", ("a", "b"))], {}).choose(NUMBER, uuid4(), verification_id, [attempt]).sender == "a"
