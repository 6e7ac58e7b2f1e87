"""The words of our events are those of the catalogue."""

from typing import get_args

from shared.events.words import Failure, Limiter, PurposeOfCode
from shared.internal_api.sms import Purpose
from sms_service.delivery.ledger import ABANDONED
from sms_service.delivery.routing import CIRCUIT_OPEN, EXHAUSTED, NO_ROUTE
from sms_service.receipts.receipts import UNDELIVERED
from sms_service.senders.port import Outcome
from sms_service.spending.refusals import BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE, PREFIX_BLOCKED
from sms_service.verification.audit_recorder import LIMITERS


def test_every_failure_of_a_message_is_listed() -> None:
    outcomes = {outcome.value for outcome in Outcome} - {Outcome.ACCEPTED.value}
    routing = {NO_ROUTE, CIRCUIT_OPEN, EXHAUSTED, ABANDONED, UNDELIVERED}
    spending = {BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE, PREFIX_BLOCKED}
    assert {*get_args(Failure)} == outcomes | routing | spending


def test_every_purpose_is_listed() -> None:
    assert [*get_args(PurposeOfCode)] == [purpose.value for purpose in Purpose]


def test_every_limiter_is_listed() -> None:
    assert {*get_args(Limiter)} == {*LIMITERS.values(), "other"}
