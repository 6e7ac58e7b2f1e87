"""The development sender: messages go to the inbox of the API process."""

from shared.errors import ErrorCode, ServiceError
from shared.rpc import Peer
from sms_service.inbox.messages import PUT_MESSAGE, NewMessage
from sms_service.senders import Answer, Message, Outcome

_OUR_FAULT = (ErrorCode.UNAUTHENTICATED, ErrorCode.NOT_FOUND)
"""A token that is not the API's, or an API in production, which has no inbox."""


class InboxSender:
    """Posts each message to ``${INBOX_URL}/inbox/messages`` with the service token."""

    def __init__(self, inbox: Peer, name: str = "inbox") -> None:
        self.name = name
        self._inbox = inbox

    async def send(self, message: Message) -> Answer:
        """Put it into the inbox."""
        posted = NewMessage(to=message.to, text=message.text, code=message.code, purpose=message.purpose)
        try:
            await self._inbox.ask(PUT_MESSAGE, posted)
        except ServiceError as error:
            ours = error.code in _OUR_FAULT
            return Answer(Outcome.MISCONFIGURED if ours else Outcome.TRANSIENT, error.code.value)
        return Answer(Outcome.ACCEPTED)
