"""RabbitMQ: a link that repairs itself, a publisher with confirms, consumers that retry on a ladder and then park."""

from shared.amqp.connection import Connection, connect, raise_on_broker_loss
from shared.amqp.consumer import Consumer, Handle, PoisonError
from shared.amqp.publisher import Publisher, RefusedError
from shared.amqp.queues import RETRY_DELAYS, Queue, declare

__all__ = [
    "RETRY_DELAYS",
    "Connection",
    "Consumer",
    "Handle",
    "PoisonError",
    "Publisher",
    "Queue",
    "RefusedError",
    "connect",
    "declare",
    "raise_on_broker_loss",
]
