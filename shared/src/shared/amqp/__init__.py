"""RabbitMQ: a link that repairs itself, a publisher with confirms, consumers that retry on a ladder and then park."""

from shared.amqp.connection import Link, connection, honest
from shared.amqp.consumer import Consumer, Handle, PoisonError
from shared.amqp.publisher import Publisher, RefusedError
from shared.amqp.queues import LADDER_SECONDS, Queue, declare

__all__ = [
    "LADDER_SECONDS",
    "Consumer",
    "Handle",
    "Link",
    "PoisonError",
    "Publisher",
    "Queue",
    "RefusedError",
    "connection",
    "declare",
    "honest",
]
