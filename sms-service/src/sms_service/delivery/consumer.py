"""The queue of send commands, and the handler with which a worker consumes it."""

import asyncio

from shared.amqp import Handler, PoisonError, Queue
from sms_service.delivery.delivery import Delivery
from sms_service.send_command import SEND_QUEUE, parse_send_command

SEND_COMMANDS = Queue(SEND_QUEUE, prefetch=64)
"""A command names one message, or up to ``shared.outbox.MAX_JOINED`` that were requested together."""


def handler(delivery: Delivery) -> Handler:
    """A handler that delivers the messages of a command. It raises ``PoisonError`` for a malformed body.

    If some messages fail, the command fails and is redelivered; the messages already claimed are not claimed again.
    """

    async def handle(body: bytes) -> None:
        try:
            message_ids = parse_send_command(body)
        except ValueError as error:
            raise PoisonError(str(error)) from error
        results = await asyncio.gather(*map(delivery.deliver, message_ids), return_exceptions=True)
        errors = [result for result in results if result is not None]
        if errors:
            raise BaseExceptionGroup("some messages were not delivered", errors)

    return handle
