"""What operators ask of senders: which there are, what is left of their accounts, and a test message."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from uuid import UUID

import structlog

from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events.envelope import new_id
from shared.internal_api.operators.senders import (
    ListedSender,
    SenderBalance,
    Senders,
    SendTestMessage,
    TestMessageResult,
)
from shared.internal_api.sms import Language
from shared.languages import language_of
from sms_service.number_seal import NumberSeal
from sms_service.sender_checks.store import ReadBalance
from sms_service.sender_checks.test_messages import TestMessage
from sms_service.senders.config import PrepaidTable, SenderConfig

TEST_MESSAGES_PER_HOUR = 20
"""By all operators together: no budget pays for them."""
WAIT_SECONDS = 8.0
"""How long the answer waits for a worker and its sender. The command gives up after 15 s."""
LOOK_SECONDS = 0.2

log = structlog.get_logger()


class SenderCheckRepository(Protocol):
    """Test messages and balances."""

    async def add(self, message: TestMessage, *, per_hour: int) -> bool: ...
    async def end_of(self, message_id: UUID) -> tuple[str, str] | None: ...
    async def withdraw(self, message_id: UUID) -> bool: ...
    async def balances(self) -> dict[str, ReadBalance]: ...


class OperatorSenders:
    """The senders of the settings file. Their workers send the test messages and read the balances."""

    def __init__(
        self,
        repository: SenderCheckRepository,
        configs: Mapping[str, SenderConfig],
        seal: NumberSeal,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._repository = repository
        self._configs = configs
        self._seal = seal
        self._sleep = sleep

    async def listed(self) -> Senders:
        """All senders, in the order of the file."""
        balances = await self._repository.balances()
        return Senders(senders=[_listed(name, config, balances) for name, config in self._configs.items()])

    async def test(self, request: SendTestMessage) -> TestMessageResult:
        """Have a message sent, and wait for its outcome.

        Raises ``NOT_FOUND`` for an unknown sender, ``CALLER_LIMIT`` after 20 in an hour, and ``UNAVAILABLE`` if no
        worker takes it, which it then never will.
        """
        if request.sender not in self._configs:
            raise ServiceError(ErrorCode.NOT_FOUND)
        language = request.language or Language(language_of(request.phone))
        message = TestMessage(new_id(), request.sender, self._seal.seal(request.phone), language)
        if not await self._repository.add(message, per_hour=TEST_MESSAGES_PER_HOUR):
            raise ServiceError(ErrorCode.CALLER_LIMIT)
        log.warning("test_message.requested", sender=request.sender, operator=request.operator)
        return await self._end_of(message.message_id)

    async def _end_of(self, message_id: UUID) -> TestMessageResult:
        for _ in range(round(WAIT_SECONDS / LOOK_SECONDS)):
            if (end := await self._repository.end_of(message_id)) is not None:
                return TestMessageResult(message_id=message_id, outcome=end[0], detail=end[1])
            await self._sleep(LOOK_SECONDS)
        if await self._repository.withdraw(message_id):
            raise unavailable()
        return TestMessageResult(message_id=message_id, outcome="unknown", detail="no_result")


def _listed(name: str, config: SenderConfig, balances: Mapping[str, ReadBalance]) -> ListedSender:
    warning = config.warn_below_balance if isinstance(config, PrepaidTable) else None
    read = balances.get(name) if warning is not None else None
    balance = SenderBalance(amount=read.amount, unit=read.unit, read_at=read.read_at) if read else None
    return ListedSender(name=name, type=config.type, balance=balance, warn_below_balance=warning)
