"""Who is asked when there is no money for somebody, and what is said when nobody is left."""

from datetime import timedelta
from uuid import UUID

import pytest
from support.sms import Recorder
from support.spending import CENT

from shared.internal_api.sms import Language, Purpose
from shared.phone import E164
from sms_service.delivery.routing import Limits, PreviousAttempt, Route
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.port import Message
from sms_service.spending.money import Tariff
from sms_service.spending.refusals import BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE

NUMBER, MESSAGE, VERIFICATION = E164("+8613800138000"), UUID(int=1), UUID(int=2)


def choosing(*names: str, past: tuple[PreviousAttempt, ...] = ()) -> tuple[str | None, str]:
    """Who is chosen, or the failure, of a route of these when there is no money for ``dear``."""
    sender_pool = SenderPool(
        [Recorder(name=name) for name in names],
        [Route("+", names)],
        {"cheap": Limits(per_minute=1)},
        tariff=Tariff({"dear": {"+": 5 * CENT}, "as-dear": {"+": 5 * CENT}, "cheap": {"+": CENT}}),
    )
    message = Message(MESSAGE, NUMBER, "", "000000", Purpose.SIGN_UP, Language.CHINESE, timedelta(minutes=5))
    choice = sender_pool.choose(message, VERIFICATION, past, dear="dear")
    return choice.sender, choice.failure


def earlier(verification: UUID, outcome: str) -> tuple[PreviousAttempt, ...]:
    return (PreviousAttempt("cheap", verification, outcome, timedelta(seconds=1)),)


@pytest.mark.parametrize(
    ("names", "past", "chosen"),
    [
        (("dear", "as-dear", "cheap"), (), ("cheap", "")),
        (("dear", "as-dear"), (), (None, BUDGET_EXHAUSTED)),
        (("dear", "cheap"), earlier(UUID(int=3), "accepted"), (None, CHEAPER_UNAVAILABLE)),
        (("dear", "cheap"), earlier(VERIFICATION, "permanent"), (None, BUDGET_EXHAUSTED)),
    ],
)
def test_that_money_is_short_is_the_whole_story_only_if_no_cheaper_sender_was_held_up(
    names: tuple[str, ...], past: tuple[PreviousAttempt, ...], chosen: tuple[str | None, str]
) -> None:
    assert choosing(*names, past=past) == chosen
