"""The queue of send commands, and the handler with which a worker consumes it."""

import asyncio
from uuid import UUID

from shared.amqp import Consumer, Handler, PoisonError, Publisher, Queue
from shared.trace import consuming
from sms_service.delivery.delivery import Delivery
from sms_service.send_command import SEND_QUEUE, CommandEntry, MessageSeal, parse_send_command, without_messages

SEND_COMMANDS = Queue(SEND_QUEUE, prefetch=64)
"""A command names one message, or up to ``shared.outbox.MAX_JOINED`` that were requested together."""


def handler(delivery: Delivery, seal: MessageSeal) -> Handler:
    """A handler that delivers the messages of a command. It raises ``PoisonError`` for a malformed body.

    If some messages fail, the command fails and is redelivered; the messages already claimed are not claimed again.
    """

    async def deliver(message_id: UUID, entry: CommandEntry) -> None:
        with consuming(SEND_QUEUE, entry.cause):  # gather runs each delivery in a context of its own
            await delivery.deliver(message_id, seal.open(message_id, entry.sealed) if entry.sealed else None)

    async def handle(body: bytes) -> None:
        try:
            messages = parse_send_command(body)
        except ValueError as error:
            raise PoisonError(str(error)) from error
        deliveries = (deliver(message_id, entry) for message_id, entry in messages.items())
        results = await asyncio.gather(*deliveries, return_exceptions=True)
        errors = [result for result in results if result is not None]
        if errors:
            raise BaseExceptionGroup("some messages were not delivered", errors)

    return handle


def command_consumer(delivery: Delivery, seal: MessageSeal, publisher: Publisher) -> Consumer:
    """The consumer of send commands. What a command carries does not go with it into a retry or parking queue."""
    return Consumer(SEND_COMMANDS, handler(delivery, seal), publisher, at_rest=without_messages)
