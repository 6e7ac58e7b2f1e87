"""The development sender: messages go to the inbox of the API process."""

from collections.abc import Sequence

from shared.batching import Batcher
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.client import InternalClient
from sms_service.inbox.messages import PUT_MESSAGES, NewMessage, NewMessages
from sms_service.senders.port import Message, Outcome, SendResult

_OUR_FAULT = (ErrorCode.UNAUTHENTICATED, ErrorCode.NOT_FOUND)
"""A token that is not the API's, or an API in production, which has no inbox."""


class InboxSender:
    """Posts messages to ``${INBOX_URL}/inbox/messages`` with the service token; those that come together, together."""

    def __init__(self, inbox: InternalClient, name: str = "inbox") -> None:
        self.name = name
        self._inbox = inbox
        self._put = Batcher(self._put_all)

    async def send(self, message: Message) -> SendResult:
        """Put it into the inbox."""
        return await self._put(NewMessage(to=message.to, text=message.text, code=message.code, purpose=message.purpose))

    async def _put_all(self, messages: Sequence[NewMessage]) -> list[SendResult]:
        try:
            await self._inbox.call(PUT_MESSAGES, NewMessages(messages=list(messages)))
        except ServiceError as error:
            ours = error.code in _OUR_FAULT
            answer = SendResult(Outcome.MISCONFIGURED if ours else Outcome.TRANSIENT, error.code.value)
        else:
            answer = SendResult(Outcome.ACCEPTED)
        return [answer] * len(messages)
