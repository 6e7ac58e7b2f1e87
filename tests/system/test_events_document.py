"""docs/events.md: its example consumer runs as printed, and its table has every event and field."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aio_pika
import pytest
from stack.system import Stack
from support.app import App, fresh_number

from shared.events.catalogue import EVENTS
from shared.events.envelope import EXCHANGE

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
QUEUE = "my-service.users"


def example_code() -> str:
    """The consumer on the page."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    return code


@pytest.fixture
async def consumer(system: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SimpleNamespace]:
    """The running example consumer. Its queue is deleted afterwards."""
    monkeypatch.setenv("AMQP_URL", system.addresses["AMQP_URL"])
    opened: list[Any] = []
    connect = aio_pika.connect_robust

    async def recording_connect(*arguments: Any) -> Any:
        opened.append(await connect(*arguments))
        return opened[-1]

    monkeypatch.setattr(aio_pika, "connect_robust", recording_connect)
    names: dict[str, Any] = {}
    exec(compile(example_code(), "docs/events.md", "exec"), names)
    running = asyncio.create_task(names["main"]())
    async with await aio_pika.connect(system.addresses["AMQP_URL"]) as connection:
        channel = await connection.channel()
        await until(lambda: bool(opened))
        await until_consumed(connection)
        yield SimpleNamespace(users=names["users"], channel=channel)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await opened[0].close()
        await channel.queue_delete(QUEUE)


async def until_consumed(connection: aio_pika.abc.AbstractConnection) -> None:
    """Wait until the queue has a consumer. By then it is bound too."""
    for _ in range(600):
        channel = await connection.channel()
        try:
            queue = await channel.declare_queue(QUEUE, passive=True)
            if queue.declaration_result.consumer_count:
                return
        except aio_pika.exceptions.ChannelNotFoundEntity:
            pass
        finally:
            await channel.close()
        await asyncio.sleep(0.05)
    raise AssertionError("the queue has no consumer")


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        await asyncio.sleep(0.05)


async def test_the_example_consumer_keeps_a_copy_of_the_users(app: App, consumer: SimpleNamespace) -> None:
    user = await app.register(fresh_number(), "secret123")
    subject = str(user["userId"])

    await until(lambda: subject in consumer.users)
    copy = consumer.users[subject]
    assert (copy["nickname"], copy["version"], copy["gone"]) == (user["nickName"], 1, False)


async def test_the_example_consumer_ignores_late_and_repeated_events(app: App, consumer: SimpleNamespace) -> None:
    exchange = await consumer.channel.get_exchange(EXCHANGE)

    async def publish(subject: str, kind: str, version: int, nickname: str) -> None:
        event = {"subject": subject, "type": kind, "version": version, "data": {"nickname": nickname}}
        await exchange.publish(aio_pika.Message(json.dumps(event).encode()), kind)

    user = await app.register(fresh_number(), "secret123")
    subject = str(user["userId"])
    await until(lambda: subject in consumer.users)
    await publish(subject, "auth.user.deleted.v1", 7, "gone")
    await publish(subject, "auth.user.deleted.v1", 7, "twice")
    await publish(subject, "auth.user.updated.v1", 6, "late")
    await publish("last", "auth.user.updated.v1", 1, "last")
    await until(lambda: "last" in consumer.users)

    assert consumer.users[subject] == {"version": 7, "gone": True, "nickname": "gone"}


def test_the_page_has_every_event_and_every_field() -> None:
    table = PAGE[PAGE.index("## The events") :]
    assert set(re.findall(r"`((?:auth|sms|contacts)\.[a-z.]+\.v\d)`", table)) == {event.key for event in EVENTS}
    assert {name for event in EVENTS for name in event.model_fields} - set(re.findall(r"`(\w+)`", table)) == set()


def test_the_example_consumer_is_short() -> None:
    assert len([line for line in example_code().splitlines() if line.strip()]) <= 20
