"""Publish and wait for the broker's confirm."""

import asyncio

import aio_pika
from aio_pika.abc import AbstractExchange
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError

from shared.amqp.link import Link, honest
from shared.events import EXCHANGE, Outgoing

PUBLISH_SECONDS = 5.0


class RefusedError(Exception):
    """The broker answered and did not take this message: unroutable, or turned down."""


class Publisher:
    """Publishes persistent messages and waits for the broker's confirm."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._exchanges: dict[str, AbstractExchange] = {}

    @classmethod
    async def open(cls, link: Link) -> "Publisher":
        """Declare the exchanges and make ready to publish, now and on every later connection."""
        publisher = cls(link)
        await link.always(publisher._make_ready)
        return publisher

    async def _make_ready(self) -> None:
        channel = await self._link.channel(publisher_confirms=True, on_return_raises=True)
        events = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        self._exchanges = {EXCHANGE: events, "": channel.default_exchange}

    async def publish(self, message: Outgoing, *, headers: dict[str, int] | None = None) -> None:
        """Publish one message. Raises ``RefusedError``, or ``ConnectionError`` when the broker is away.

        An event with no listener is no fault; a command (default exchange) must reach its queue.
        """
        amqp_message = aio_pika.Message(
            message.body,
            headers=dict(headers or {}),
            content_type="application/cloudevents+json" if message.exchange else "application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(message.id),
            type=message.routing_key,
        )
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                sending = self._exchanges[message.exchange].publish(
                    amqp_message, message.routing_key, mandatory=not message.exchange
                )
                await honest(sending)
        except (DeliveryError, PublishError) as error:
            raise RefusedError(type(error).__name__) from error
        except (TimeoutError, AMQPError, RuntimeError) as error:
            raise ConnectionError("the broker is away") from error
