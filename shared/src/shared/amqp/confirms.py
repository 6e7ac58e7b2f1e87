"""Publish many messages in one write and wait until the broker has confirmed each of them.

aiormq owns the channel. pamqp makes the frames, but for those of most messages, which are a fixed row of fields
(AMQP 0-9-1, 4.2.6). Its ``basic_publish`` is not used: it sends one message at a time
and costs four times as much as everything else together. Decision 29 has the measurements.
"""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial

import aio_pika
from aiormq import Channel
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelAccessRefused
from pamqp import constants as spec
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.events.envelope import ENTRIES, EXCHANGE, OutboxMessage

_FRAME = struct.Struct(">BHI")
_PROPERTIES = struct.Struct(">HxxQH")
_ID = struct.Struct(">B36s")
_FRAME_END = bytes([spec.FRAME_END])
_FLAGS = 0x8000 | 0x1000 | 0x0080 | 0x0020
"""The properties that are there: content type, delivery mode, message id, type."""
_CONTENT_TYPES = ("application/json", "application/cloudevents+json")

Headers = Mapping[str, int | str]
Confirm = asyncio.Future[object]
Outcome = BaseException | None
"""Why the broker refused a message: ``PublishError`` (no queue takes it) or ``DeliveryError``; None when confirmed."""


async def publish_confirmed(channel: Channel, messages: Sequence[OutboxMessage], headers: Headers) -> list[Outcome]:
    """Publish persistent messages; the outcomes are in their order. Raises ``ConnectionError`` when the channel ends.

    An event may have no listener. A message to a queue must reach it.
    """
    ids = [str(message.id) for message in messages]
    confirms = await _write(channel, messages, ids, headers)
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
        _forget_ids(channel, ids)


async def _write(
    channel: Channel, messages: Sequence[OutboxMessage], ids: Sequence[str], headers: Headers
) -> list[Confirm]:
    """Number the messages as the broker does and queue them for the connection's writer. Returns their confirms."""
    payload = b"".join(map(partial(_frames, channel, headers), messages, ids))
    async with channel.lock:
        first = channel.delivery_tag + 1
        confirms = {tag: _confirm() for tag, _ in enumerate(messages, first)}
        channel.confirmations.update(confirms)
        channel.message_id_delivery_tag.update(zip(ids, confirms, strict=True))
        channel.delivery_tag += len(messages)
        try:
            await channel.write_queue.put(ChannelFrame(payload, should_close=False))
        except BaseException:  # the broker has seen none of them, so the next messages take their numbers
            channel.delivery_tag -= len(messages)
            for tag in confirms:
                del channel.confirmations[tag]
            _forget_ids(channel, ids)
            raise
    return list(confirms.values())


def _reason(closing: Confirm) -> str:
    refused = closing.done() and not closing.cancelled() and isinstance(closing.exception(), ChannelAccessRefused)
    return "the user of AMQP_URL may not publish this" if refused else "the channel ended before the broker confirmed"


def _forget_ids(channel: Channel, ids: Sequence[str]) -> None:
    for message_id in ids:
        channel.message_id_delivery_tag.pop(message_id, None)


def _confirm() -> Confirm:
    return asyncio.get_running_loop().create_future()


def _frames(channel: Channel, headers: Headers, message: OutboxMessage, message_id: str) -> bytes:
    body, size = message.body, channel.max_content_size
    return b"".join(
        (
            _method(channel.number, message.exchange, message.routing_key),
            _header(channel.number, message, message_id, headers),
            *(marshal(ContentBody(body[start : start + size]), channel.number) for start in range(0, len(body), size)),
        )
    )


def _header(channel: int, message: OutboxMessage, message_id: str, headers: Headers) -> bytes:
    """The frame with the properties of a message."""
    message_type = message.event_type or message.routing_key
    is_event = _is_for_events(message.exchange) or bool(message.event_type)
    if headers:
        return _marshalled_header(channel, message, message_type, is_event, headers)
    content_type, type_field = _fields(message_type, is_event)
    length = _PROPERTIES.size + len(content_type) + len(type_field)
    return b"".join(
        (
            _FRAME.pack(spec.FRAME_HEADER, channel, length + _ID.size),
            _PROPERTIES.pack(Basic.frame_id, len(message.body), _FLAGS),
            content_type,
            _ID.pack(36, message_id.encode()),
            type_field,
            _FRAME_END,
        )
    )


def _marshalled_header(
    channel: int, message: OutboxMessage, message_type: str, is_event: bool, headers: Headers
) -> bytes:
    properties = Basic.Properties(
        content_type=_CONTENT_TYPES[is_event],
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT.value,
        headers=dict(headers),
        message_id=str(message.id),
        message_type=message_type,
    )
    return marshal(ContentHeader(properties=properties, body_size=len(message.body)), channel)


@lru_cache(maxsize=256)
def _fields(message_type: str, is_event: bool) -> tuple[bytes, bytes]:
    """The fields before and after the id: the content type with the delivery mode, and the type."""
    content_type, of_type = _CONTENT_TYPES[is_event].encode(), message_type.encode()
    mode = aio_pika.DeliveryMode.PERSISTENT.value
    return bytes([len(content_type)]) + content_type + bytes([mode]), bytes([len(of_type)]) + of_type


@lru_cache(maxsize=256)
def _method(channel: int, exchange: str, routing_key: str) -> bytes:
    mandatory = not _is_for_events(exchange)
    return marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory), channel)


def _is_for_events(exchange: str) -> bool:
    return exchange == EXCHANGE or exchange.startswith(ENTRIES)
