"""The development sender: posts messages to the SMS inbox of the API process."""

from collections.abc import Sequence

from shared.batching import Batcher
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.client import InternalClient, TokenRefusedError
from sms_service.inbox.messages import PUT_MESSAGES, NewMessage, NewMessages
from sms_service.senders.port import Outcome, OutgoingMessage, SendResult


class InboxSender:
    """Posts to ``<inbox url>/inbox/messages``. Messages that arrive together share a request."""

    def __init__(self, inbox: InternalClient, name: str = "inbox") -> None:
        self.name = name
        self._inbox = inbox
        self._put = Batcher(self._put_all)

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        """Put the message into the inbox."""
        return await self._put(
            NewMessage(to=outgoing.to, text=outgoing.text, code=outgoing.code, purpose=outgoing.purpose)
        )

    async def _put_all(self, messages: Sequence[NewMessage]) -> list[SendResult]:
        try:
            await self._inbox.call(PUT_MESSAGES, NewMessages(messages=list(messages)))
        except ServiceError as error:
            result = SendResult(_outcome(error), error.code.value)
        else:
            result = SendResult(Outcome.ACCEPTED)
        return [result] * len(messages)


def _outcome(error: ServiceError) -> Outcome:
    """Our token differs from the API's, or the API runs in production, where there is no inbox; else it is away."""
    misconfigured = isinstance(error, TokenRefusedError) or error.code is ErrorCode.NOT_FOUND
    return Outcome.MISCONFIGURED if misconfigured else Outcome.TRANSIENT
