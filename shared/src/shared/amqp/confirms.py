"""Publish many messages in one write, and wait until the broker has confirmed each.

The frames are pamqp's and the channel aiormq's, but for its ``basic_publish``: made for one message at a time, it costs
four times as much as all the rest. Decision 29 has what was measured.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache

import aio_pika
from aiormq import Channel
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.events import OutboxMessage

Confirm = asyncio.Future[object]
Outcome = BaseException | None
"""What the broker said against a message: ``PublishError`` (nobody is there to take it), ``DeliveryError``, nothing."""


async def publish_confirmed(
    channel: Channel, messages: Sequence[OutboxMessage], headers: Mapping[str, int]
) -> list[Outcome]:
    """Publish persistent messages and tell of each what came of it. Raises ``ConnectionError`` when the channel ends.

    An event with no listener is no fault; a command (default exchange) must reach its queue.
    """
    confirms = await _written(channel, messages, headers)
    settled = asyncio.gather(*confirms, return_exceptions=True)
    closing = channel.closing
    try:
        await asyncio.wait((settled, closing), return_when=asyncio.FIRST_COMPLETED)
        if not settled.done():
            raise ConnectionError("the channel ended before the broker confirmed")
        return [outcome if isinstance(outcome, BaseException) else None for outcome in settled.result()]
    finally:
        for confirm in confirms:
            confirm.cancel()
        closing.cancel()
        _forget_ids(channel, messages)


async def _written(channel: Channel, messages: Sequence[OutboxMessage], headers: Mapping[str, int]) -> list[Confirm]:
    """Number the messages as the broker will, and put them where the connection writes from."""
    payload = b"".join(_frames(channel, message, headers) for message in messages)
    async with channel.lock:
        first = channel.delivery_tag + 1
        confirms = {tag: _confirm() for tag, _ in enumerate(messages, first)}
        channel.confirmations.update(confirms)
        channel.message_id_delivery_tag.update((str(message.id), tag) for tag, message in enumerate(messages, first))
        channel.delivery_tag += len(messages)
        try:
            await channel.write_queue.put(ChannelFrame(payload, should_close=False))
        except BaseException:  # the broker has seen none of them: their numbers are the next ones'
            channel.delivery_tag -= len(messages)
            for tag in confirms:
                del channel.confirmations[tag]
            _forget_ids(channel, messages)
            raise
    return list(confirms.values())


def _forget_ids(channel: Channel, messages: Sequence[OutboxMessage]) -> None:
    for message in messages:
        channel.message_id_delivery_tag.pop(str(message.id), None)


def _confirm() -> Confirm:
    return asyncio.get_running_loop().create_future()


def _frames(channel: Channel, message: OutboxMessage, headers: Mapping[str, int]) -> bytes:
    properties = Basic.Properties(
        content_type="application/cloudevents+json" if message.exchange else "application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT.value,
        headers=dict(headers),
        message_id=str(message.id),
        message_type=message.routing_key,
    )
    body, most = message.body, channel.max_content_size
    return b"".join(
        (
            _method(channel.number, message.exchange, message.routing_key),
            marshal(ContentHeader(properties=properties, body_size=len(body)), channel.number),
            *(marshal(ContentBody(body[at : at + most]), channel.number) for at in range(0, len(body), most)),
        )
    )


@lru_cache(maxsize=256)
def _method(channel: int, exchange: str, routing_key: str) -> bytes:
    return marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=not exchange), channel)
