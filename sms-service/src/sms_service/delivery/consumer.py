"""The queue of send commands, and what a worker does with each."""

import asyncio

from shared.amqp import Handler, PoisonError, Queue
from sms_service.delivery.delivery import Delivery
from sms_service.send_command import SEND_QUEUE, parse_send_command

SEND_COMMANDS = Queue(SEND_QUEUE, prefetch=64)
"""Each names one message, or up to ``shared.outbox.MAX_JOINED`` that were asked for together."""


def handler(delivery: Delivery) -> Handler:
    """Carry out one command. A body that is none raises ``PoisonError``.

    When some of its messages fail the command fails, and comes again; those already sent are not claimed twice.
    """

    async def handle(body: bytes) -> None:
        try:
            message_ids = parse_send_command(body)
        except ValueError as error:
            raise PoisonError(str(error)) from error
        outcomes = await asyncio.gather(*map(delivery.deliver, message_ids), return_exceptions=True)
        failures = [outcome for outcome in outcomes if outcome is not None]
        if failures:
            raise BaseExceptionGroup("some messages were not carried", failures)

    return handle
