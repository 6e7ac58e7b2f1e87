"""The queue of send commands, and the handler with which a worker consumes it."""

import asyncio
from uuid import UUID

from shared.amqp import Handler, PoisonError, Queue
from shared.trace import Cause, consuming
from sms_service.delivery.delivery import Delivery
from sms_service.send_command import SEND_QUEUE, parse_send_command

SEND_COMMANDS = Queue(SEND_QUEUE, prefetch=64)
"""A command names one message, or up to ``shared.outbox.MAX_JOINED`` that were requested together."""


def handler(delivery: Delivery) -> Handler:
    """A handler that delivers the messages of a command. It raises ``PoisonError`` for a malformed body.

    If some messages fail, the command fails and is redelivered; the messages already claimed are not claimed again.
    """

    async def deliver(message_id: UUID, cause: Cause) -> None:
        with consuming(SEND_QUEUE, cause):  # gather runs each delivery in a context of its own
            await delivery.deliver(message_id)

    async def handle(body: bytes) -> None:
        try:
            messages = parse_send_command(body)
        except ValueError as error:
            raise PoisonError(str(error)) from error
        deliveries = (deliver(message_id, cause) for message_id, cause in messages.items())
        results = await asyncio.gather(*deliveries, return_exceptions=True)
        errors = [result for result in results if result is not None]
        if errors:
            raise BaseExceptionGroup("some messages were not delivered", errors)

    return handle
