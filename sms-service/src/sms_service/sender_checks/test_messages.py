"""Test messages: an operator asks for one, the worker sends it through the named sender and says how it ended.

They pass PostgreSQL, because only the worker reaches providers. They are in no ledger, and no budget pays for them.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag

from shared.internal_api.sms import Language, Purpose
from shared.phone import E164
from sms_service.messages.templates import MessageContext, Texts
from sms_service.number_seal import NumberSeal
from sms_service.senders.port import Outcome, OutgoingMessage, SendResult

TAKE_SECONDS = 2.0
"""How often a worker looks for test messages."""
CODE = "000000"
"""The code in the text. It opens nothing."""
REMAINING = timedelta(minutes=10)

log = structlog.get_logger()


@dataclass(frozen=True)
class TestMessage:
    """A test message that this worker took."""

    __test__ = False

    message_id: UUID
    sender: str
    phone_sealed: bytes = field(repr=False)
    language: Language


class TestMessageRepository(Protocol):
    """The test messages of all workers. One worker takes each."""

    async def take(self) -> TestMessage | None:
        """The oldest one that waits, or None."""

    async def finish(self, message_id: UUID, result: SendResult) -> None:
        """Write how it ended, and forget the number."""


class SendOnce(Protocol):
    """``SenderPool``: it never raises the errors of senders."""

    async def send(self, name: str, outgoing: OutgoingMessage, remaining: timedelta) -> SendResult: ...


class TestMessageDelivery:
    """Sends the test messages that wait."""

    __test__ = False

    def __init__(self, repository: TestMessageRepository, senders: SendOnce, seal: NumberSeal, texts: Texts) -> None:
        self._repository = repository
        self._senders = senders
        self._seal = seal
        self._texts = texts

    async def send_waiting(self) -> None:
        """Send each of them once. One that this process takes and does not finish is not sent again."""
        while (message := await self._repository.take()) is not None:
            result = await self._send(message)
            await self._repository.finish(message.message_id, result)
            log.warning("test_message.sent", sender=message.sender, outcome=result.outcome.value, detail=result.detail)

    async def _send(self, message: TestMessage) -> SendResult:
        try:
            number = self._seal.open(message.phone_sealed)
        except InvalidTag:
            return SendResult(Outcome.MISCONFIGURED, "key_missing")
        return await self._senders.send(message.sender, self._compose(message, number), REMAINING)

    def _compose(self, message: TestMessage, number: E164) -> OutgoingMessage:
        text = self._texts.compose(CODE, MessageContext(Purpose.SIGN_IN, message.language, number), REMAINING)
        return OutgoingMessage(message.message_id, number, text, CODE, Purpose.SIGN_IN, message.language, REMAINING)
