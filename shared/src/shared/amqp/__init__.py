"""RabbitMQ: connections that recover, a publisher with confirms, and consumers that retry and park."""

from shared.amqp.connection import Connection, connect, raise_on_broker_loss
from shared.amqp.consumer import Consumer, Handler, PoisonError
from shared.amqp.publisher import Publisher, RefusedError
from shared.amqp.queues import RETRY_DELAYS, Queue, declare

__all__ = [
    "RETRY_DELAYS",
    "Connection",
    "Consumer",
    "Handler",
    "PoisonError",
    "Publisher",
    "Queue",
    "RefusedError",
    "connect",
    "declare",
    "raise_on_broker_loss",
]
