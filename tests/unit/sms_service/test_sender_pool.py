"""Which sender is tried when the budgets cannot pay the first one, and the failure when no sender is left."""

from datetime import timedelta
from uuid import UUID

import pytest
from support.sms import Recorder
from support.spending import CENT

from shared.internal_api.sms import Language, Purpose
from shared.phone import E164
from sms_service.delivery.routing import PreviousAttempt, Route
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.limits import SenderLimits
from sms_service.senders.port import OutgoingMessage
from sms_service.spending.money import Tariff
from sms_service.spending.refusals import BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE

NUMBER, MESSAGE, VERIFICATION = E164("+8613800138000"), UUID(int=1), UUID(int=2)


def choose(*names: str, previous: tuple[PreviousAttempt, ...] = ()) -> tuple[str | None, str]:
    """The sender chosen from a route of these names when ``dear`` is unaffordable, and the failure."""
    sender_pool = SenderPool(
        [Recorder(name=name) for name in names],
        [Route("+", names)],
        {"cheap": SenderLimits(per_minute=1)},
        tariff=Tariff({"dear": {"+": 5 * CENT}, "as-dear": {"+": 5 * CENT}, "cheap": {"+": CENT}}),
    )
    outgoing = OutgoingMessage(MESSAGE, NUMBER, "", "000000", Purpose.SIGN_UP, Language.CHINESE, timedelta(minutes=5))
    choice = sender_pool.choose(outgoing, VERIFICATION, previous, unaffordable_sender="dear")
    return choice.sender, choice.failure


def attempt(verification_id: UUID, outcome: str) -> tuple[PreviousAttempt, ...]:
    return (PreviousAttempt("cheap", verification_id, outcome, timedelta(seconds=1)),)


@pytest.mark.parametrize(
    ("names", "previous", "expected"),
    [
        (("dear", "as-dear", "cheap"), (), ("cheap", "")),
        (("dear", "as-dear"), (), (None, BUDGET_EXHAUSTED)),
        (("dear", "cheap"), attempt(UUID(int=3), "accepted"), (None, CHEAPER_UNAVAILABLE)),
        (("dear", "cheap"), attempt(VERIFICATION, "permanent"), (None, BUDGET_EXHAUSTED)),
    ],
)
def test_the_budget_is_the_failure_only_if_no_cheaper_sender_was_merely_unavailable(
    names: tuple[str, ...], previous: tuple[PreviousAttempt, ...], expected: tuple[str | None, str]
) -> None:
    assert choose(*names, previous=previous) == expected
