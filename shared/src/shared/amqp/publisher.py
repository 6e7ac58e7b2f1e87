"""A publisher that waits for the broker's confirms."""

import asyncio
import time
from collections.abc import Sequence
from types import MappingProxyType
from typing import cast

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from aiormq import Channel

from shared.amqp.confirms import Headers, Outcome, publish_confirmed
from shared.amqp.connection import Connection, raise_on_broker_loss
from shared.events.envelope import EXCHANGE, OutboxMessage, entry_of

PUBLISH_SECONDS = 5.0
BOUND_SECONDS = 23.0
"""After this, consumers have bound to an exchange again that was deleted: they do so every 20 s or more often, and try
once a second while it is missing."""
RENEW_SECONDS = 5.0
"""The least between two connections that replace one on which a queue refused: one queue may refuse for long."""

NO_HEADERS: Headers = MappingProxyType({})


class RefusedError(Exception):
    """The broker answered and did not accept the message: it has no route, or the queue rejected it."""


class Publisher:
    """Publishes persistent messages and waits until the broker has confirmed them."""

    def __init__(self, connection: Connection, service: str) -> None:
        self._connection = connection
        self._entry = entry_of(service)
        self._channel: AbstractChannel | None = None
        self._missing_since: float | None = None
        self._renewed_at = -RENEW_SECONDS

    @classmethod
    async def open(cls, connection: Connection, service: str) -> "Publisher":
        """Declare the exchanges and open a channel, now and on every later connection.

        ``service`` is the first word of the keys of its events.
        """
        publisher = cls(connection, service)
        await connection.on_connect(publisher._open_channel)
        return publisher

    async def _open_channel(self) -> None:
        if self._channel is not None:
            await self._wait_for_consumers()
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        events = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        # A topic exchange, so that the broker can permit each service its own events only.
        entry = await channel.declare_exchange(self._entry, aio_pika.ExchangeType.TOPIC, durable=True, auto_delete=True)
        await events.bind(entry, "#")
        self._channel = channel

    async def _wait_for_consumers(self) -> None:
        """Leave a deleted exchange to its consumers for a while: only they can bind their queues to it.

        Raises ``ConnectionError`` until they have had the time, so that events stay in the outbox. Published before,
        some queues would not receive them.
        """
        if await self._connection.has_exchange(self._entry):
            self._missing_since = None
            return
        self._missing_since = self._missing_since or time.monotonic()
        if time.monotonic() - self._missing_since < BOUND_SECONDS:
            raise ConnectionError("the exchange was deleted")
        self._missing_since = None

    async def publish(self, message: OutboxMessage, *, headers: Headers = NO_HEADERS) -> None:
        """Publish one message. Raises ``RefusedError``, or ``ConnectionError`` when the broker is unavailable.

        An event may have no listener. A message to a queue must reach it.
        """
        (outcome,) = await self._publish([message], headers)
        if outcome is not None:
            raise RefusedError(type(outcome).__name__) from outcome

    async def publish_all(self, messages: Sequence[OutboxMessage]) -> list[bool]:
        """Publish many messages within one deadline. True for each that was refused. Raises ``ConnectionError``."""
        return [outcome is not None for outcome in await self._publish(messages, NO_HEADERS)]

    async def _publish(self, messages: Sequence[OutboxMessage], headers: Headers) -> list[Outcome]:
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                outcomes = await raise_on_broker_loss(self._send(messages, headers))
        except (TimeoutError, AMQPError, RuntimeError) as error:
            raise ConnectionError("the broker is unavailable") from error
        for outcome in outcomes:
            if outcome is not None and not isinstance(outcome, DeliveryError | PublishError):
                raise ConnectionError("the broker is unavailable") from outcome
        if any(isinstance(outcome, DeliveryError) and not isinstance(outcome, PublishError) for outcome in outcomes):
            self._renew()
        return outcomes

    def _renew(self) -> None:
        """Publish on a new connection soon.

        RabbitMQ 3.10 remembers for each channel who leads a queue, and refuses while that node is gone.
        """
        if time.monotonic() - self._renewed_at >= RENEW_SECONDS:
            self._renewed_at = time.monotonic()
            self._connection.reconnect()

    async def _send(self, messages: Sequence[OutboxMessage], headers: Headers) -> list[Outcome]:
        if self._channel is None:
            raise ConnectionError("no channel to publish on")
        underlay = cast("Channel", await self._channel.get_underlay_channel())
        return await publish_confirmed(underlay, messages, headers)
