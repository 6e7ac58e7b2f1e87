"""Test messages of operators: what they are told when no worker answers, and when there were too many."""

from dataclasses import dataclass, field
from uuid import UUID

import pytest

from gateway.operators.app import CALL_SECONDS
from gateway.operators.command import SECONDS as COMMAND_SECONDS
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.operators.senders import SendTestMessage
from shared.keys import KeyRing
from sms_service.number_seal import NumberSeal
from sms_service.operators.senders import TEST_MESSAGES_PER_HOUR, WAIT_SECONDS, OperatorSenders
from sms_service.sender_checks.store import ReadBalance
from sms_service.sender_checks.test_messages import TAKE_SECONDS, TestMessage
from sms_service.senders.config import InboxConfig
from sms_service.senders.port import SEND_SECONDS

NUMBER = "+8613800138000"


@dataclass
class Checks:
    """Test messages that no worker takes, or that one takes and never finishes."""

    has_worker: bool = False
    full: bool = False
    added: list[TestMessage] = field(default_factory=list)
    withdrawn: list[UUID] = field(default_factory=list)

    async def add(self, message: TestMessage, *, per_hour: int) -> bool:
        assert per_hour == TEST_MESSAGES_PER_HOUR
        self.added.append(message)
        return not self.full

    async def end_of(self, message_id: UUID) -> tuple[str, str] | None:
        assert message_id == self.added[0].message_id
        return None

    async def withdraw(self, message_id: UUID) -> bool:
        self.withdrawn.append(message_id)
        return not self.has_worker

    async def balances(self) -> dict[str, ReadBalance]:
        return {}


def senders(checks: Checks) -> OperatorSenders:
    async def no_time_passes(_: float) -> None:
        pass

    seal = NumberSeal(KeyRing.parse("1:" + "ab" * 32))
    return OperatorSenders(checks, {"inbox": InboxConfig(type="inbox")}, seal, no_time_passes)


def asking(sender: str = "inbox") -> SendTestMessage:
    return SendTestMessage.model_validate({"operator": "ada", "reason": "new key", "sender": sender, "phone": NUMBER})


async def test_a_message_that_no_worker_takes_is_withdrawn() -> None:
    checks = Checks()
    with pytest.raises(ServiceError) as refusal:
        await senders(checks).test(asking())

    assert refusal.value.code is ErrorCode.UNAVAILABLE
    assert checks.withdrawn == [checks.added[0].message_id]
    assert NUMBER[3:] not in repr(checks.added)


def test_the_outcome_of_a_slow_sender_still_reaches_the_operator() -> None:
    assert TAKE_SECONDS + SEND_SECONDS < WAIT_SECONDS < CALL_SECONDS < COMMAND_SECONDS


async def test_a_message_without_a_result_has_an_unknown_outcome() -> None:
    result = await senders(Checks(has_worker=True)).test(asking())

    assert (result.outcome, result.detail) == ("unknown", "no_result")


async def test_an_unknown_sender_is_not_found_and_nothing_is_sent() -> None:
    checks = Checks()
    with pytest.raises(ServiceError) as refusal:
        await senders(checks).test(asking("elsewhere"))

    assert (refusal.value.code, checks.added) == (ErrorCode.NOT_FOUND, [])


async def test_too_many_test_messages_are_refused() -> None:
    with pytest.raises(ServiceError) as refusal:
        await senders(Checks(full=True)).test(asking())

    assert refusal.value.code is ErrorCode.CALLER_LIMIT


async def test_a_sender_without_a_warning_has_no_balance() -> None:
    (listed,) = (await senders(Checks()).listed()).senders

    assert (listed.name, listed.type, listed.balance, listed.warn_below_balance) == ("inbox", "inbox", None, None)
