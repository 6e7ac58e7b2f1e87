"""The frames of a message are those that pamqp would make."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aio_pika
import pytest
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader

from shared.amqp.confirms import _frames
from shared.events.envelope import OutboxMessage, entry_of, new_id

CHANNEL: Any = SimpleNamespace(number=7, max_content_size=16, lock=asyncio.Lock())
MESSAGES = [
    OutboxMessage(new_id(), entry_of("sms"), "sms.message.sent.v1", b"{}"),
    OutboxMessage(new_id(), "sms.send", "sms.send", b""),
    OutboxMessage(new_id(), "", "shop.queue", b"x" * 70_000, "auth.user.registered.v1"),
    OutboxMessage(new_id(), "", "k" * 255, b"x" * 16),
]


def pieces(data: bytes) -> list[Any]:
    frames = []
    while data:
        size, _, frame = unmarshal(data)
        frames.append(frame)
        data = data[size:]
    return frames


@pytest.mark.parametrize("message", MESSAGES, ids=["event", "command", "event to a queue", "long key"])
@pytest.mark.parametrize("headers", [{}, {"x-haoma-attempt": 2}], ids=["plain", "headers"])
def test_the_broker_reads_the_properties_and_the_body(message: OutboxMessage, headers: dict[str, int]) -> None:
    is_event = message.exchange == entry_of("sms") or bool(message.event_type)
    method, header, *bodies = pieces(_frames(CHANNEL, headers, message, str(message.id)))

    assert isinstance(method, Basic.Publish)
    assert (method.exchange, method.routing_key) == (message.exchange, message.routing_key)
    assert isinstance(header, ContentHeader)
    assert header.body_size == len(message.body)
    assert dict(header.properties) | {"headers": header.properties.headers or {}} == dict(
        Basic.Properties(
            content_type="application/cloudevents+json" if is_event else "application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT.value,
            headers=headers,
            message_id=str(message.id),
            message_type=message.event_type or message.routing_key,
        )
    )
    assert all(isinstance(body, ContentBody) for body in bodies)
    assert b"".join(body.value for body in bodies) == message.body


def test_without_headers_the_frame_is_the_one_of_pamqp() -> None:
    message = MESSAGES[0]
    properties = Basic.Properties(
        content_type="application/cloudevents+json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT.value,
        message_id=str(message.id),
        message_type=message.routing_key,
    )
    expected = marshal(ContentHeader(properties=properties, body_size=len(message.body)), CHANNEL.number)
    assert expected in _frames(CHANNEL, {}, message, str(message.id))
