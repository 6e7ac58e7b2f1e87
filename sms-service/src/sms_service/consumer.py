"""The queue of send commands, and what a worker does with each."""

from shared.amqp import Handle, PoisonError, Queue
from sms_service.commands import SEND_QUEUE, parse_send_command
from sms_service.delivery import Delivery

SEND_COMMANDS = Queue(SEND_QUEUE, prefetch=64)


def handler(delivery: Delivery) -> Handle:
    """Carry out one command. A body that is none raises ``PoisonError``."""

    async def handle(body: bytes) -> None:
        try:
            message_id = parse_send_command(body)
        except ValueError as error:
            raise PoisonError(str(error)) from error
        await delivery.deliver(message_id)

    return handle
