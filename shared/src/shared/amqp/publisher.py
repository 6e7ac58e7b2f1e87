"""Publish and wait for the broker's confirm."""

import asyncio
from collections.abc import Sequence
from typing import cast

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from aiormq import Channel
from pamqp.commands import Basic

from shared.amqp.link import Link, honest
from shared.events import EXCHANGE, Outgoing

PUBLISH_SECONDS = 5.0


class RefusedError(Exception):
    """The broker answered and did not take this message: unroutable, or turned down."""


class Publisher:
    """Publishes persistent messages and waits for the broker's confirm."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: AbstractChannel | None = None

    @classmethod
    async def open(cls, link: Link) -> "Publisher":
        """Declare the exchanges and make ready to publish, now and on every later connection."""
        publisher = cls(link)
        await link.always(publisher._make_ready)
        return publisher

    async def _make_ready(self) -> None:
        channel = await self._link.channel(publisher_confirms=True, on_return_raises=True)
        await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        self._channel = channel

    async def publish(self, message: Outgoing, *, headers: dict[str, int] | None = None) -> None:
        """Publish one message. Raises ``RefusedError``, or ``ConnectionError`` when the broker is away.

        An event with no listener is no fault; a command (default exchange) must reach its queue.
        """
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._publish(message, headers)
        except TimeoutError as error:
            raise ConnectionError("the broker is away") from error

    async def publish_all(self, messages: Sequence[Outgoing]) -> list[bool]:
        """Publish many within one deadline, and tell of each whether it was refused. Raises ``ConnectionError``."""
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                outcomes = await asyncio.gather(*map(self._publish, messages), return_exceptions=True)
        except TimeoutError as error:
            raise ConnectionError("the broker is away") from error
        for outcome in outcomes:
            if outcome is not None and not isinstance(outcome, RefusedError):
                raise ConnectionError("the broker is away") from outcome
        return [outcome is not None for outcome in outcomes]

    async def _publish(self, message: Outgoing, headers: dict[str, int] | None = None) -> None:
        try:
            await honest(self._say(message, headers))
        except (DeliveryError, PublishError) as error:
            raise RefusedError(type(error).__name__) from error
        except (AMQPError, RuntimeError) as error:
            raise ConnectionError("the broker is away") from error

    async def _say(self, message: Outgoing, headers: dict[str, int] | None) -> None:
        """Straight to aiormq, which aio-pika wraps at two thirds of its price, and without waiting for the socket."""
        if self._channel is None:
            raise ConnectionError("not ready to publish")
        beneath = cast("Channel", await self._channel.get_underlay_channel())
        await beneath.basic_publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            mandatory=not message.exchange,
            properties=Basic.Properties(
                content_type="application/cloudevents+json" if message.exchange else "application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT.value,
                headers=dict(headers or {}),
                message_id=str(message.id),
                message_type=message.routing_key,
            ),
            wait=False,
        )
