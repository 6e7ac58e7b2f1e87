"""Publish many messages in one write and wait until the broker has confirmed each of them.

pamqp makes the frames and aiormq owns the channel. Its ``basic_publish`` is not used: it sends one message at a time
and costs four times as much as everything else together. Decision 29 has the measurements.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache

import aio_pika
from aiormq import Channel
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelAccessRefused
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.events.envelope import ENTRY, EXCHANGE, OutboxMessage

EVENT_EXCHANGES = frozenset({ENTRY, EXCHANGE})

Headers = Mapping[str, int | str]
Confirm = asyncio.Future[object]
Outcome = BaseException | None
"""Why the broker refused a message: ``PublishError`` (no queue takes it) or ``DeliveryError``; None when confirmed."""


async def publish_confirmed(channel: Channel, messages: Sequence[OutboxMessage], headers: Headers) -> list[Outcome]:
    """Publish persistent messages; the outcomes are in their order. Raises ``ConnectionError`` when the channel ends.

    An event may have no listener. A message to a queue must reach it.
    """
    confirms = await _write(channel, messages, headers)
    settled = asyncio.gather(*confirms, return_exceptions=True)
    closing = channel.closing
    try:
        await asyncio.wait((settled, closing), return_when=asyncio.FIRST_COMPLETED)
        if not settled.done():
            raise ConnectionError(_reason(closing))
        return [outcome if isinstance(outcome, BaseException) else None for outcome in settled.result()]
    finally:
        for confirm in confirms:
            confirm.cancel()
        closing.cancel()
        _forget_ids(channel, messages)


async def _write(channel: Channel, messages: Sequence[OutboxMessage], headers: Headers) -> list[Confirm]:
    """Number the messages as the broker does and queue them for the connection's writer. Returns their confirms."""
    payload = b"".join(_frames(channel, message, headers) for message in messages)
    async with channel.lock:
        first = channel.delivery_tag + 1
        confirms = {tag: _confirm() for tag, _ in enumerate(messages, first)}
        channel.confirmations.update(confirms)
        channel.message_id_delivery_tag.update((str(message.id), tag) for tag, message in enumerate(messages, first))
        channel.delivery_tag += len(messages)
        try:
            await channel.write_queue.put(ChannelFrame(payload, should_close=False))
        except BaseException:  # the broker has seen none of them, so the next messages take their numbers
            channel.delivery_tag -= len(messages)
            for tag in confirms:
                del channel.confirmations[tag]
            _forget_ids(channel, messages)
            raise
    return list(confirms.values())


def _reason(closing: Confirm) -> str:
    refused = closing.done() and not closing.cancelled() and isinstance(closing.exception(), ChannelAccessRefused)
    return "the user of AMQP_URL may not publish this" if refused else "the channel ended before the broker confirmed"


def _forget_ids(channel: Channel, messages: Sequence[OutboxMessage]) -> None:
    for message in messages:
        channel.message_id_delivery_tag.pop(str(message.id), None)


def _confirm() -> Confirm:
    return asyncio.get_running_loop().create_future()


def _frames(channel: Channel, message: OutboxMessage, headers: Headers) -> bytes:
    properties = Basic.Properties(
        content_type="application/cloudevents+json"
        if message.exchange in EVENT_EXCHANGES or message.event_type
        else "application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT.value,
        headers=dict(headers),
        message_id=str(message.id),
        message_type=message.event_type or message.routing_key,
    )
    body, size = message.body, channel.max_content_size
    return b"".join(
        (
            _method(channel.number, message.exchange, message.routing_key),
            marshal(ContentHeader(properties=properties, body_size=len(body)), channel.number),
            *(marshal(ContentBody(body[start : start + size]), channel.number) for start in range(0, len(body), size)),
        )
    )


@lru_cache(maxsize=256)
def _method(channel: int, exchange: str, routing_key: str) -> bytes:
    return marshal(
        Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=exchange not in EVENT_EXCHANGES), channel
    )
