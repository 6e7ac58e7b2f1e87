"""The relay gathers what is handed over: what comes alone leaves at once, what comes soon after leaves with others."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import pytest

from shared.amqp import Publisher
from shared.events.envelope import OutboxMessage, new_id
from shared.outbox import Relay
from shared.outbox import relay as relay_module
from shared.postgres import Pool

KEY = "sms.send"
LONG = 3600.0


class Rows:
    """An outbox whose rows no other relay publishes."""

    def __init__(self) -> None:
        self.deleted: list[UUID] = []

    async def execute(self, _: str, ids: Sequence[UUID]) -> None:
        self.deleted += ids

    async def fetchval(self, *_: object) -> bool:
        return False

    async def fetch(self, *_: object) -> list[tuple[int, int, float]]:
        return [(0, 0, 0.0)]


class Batches:
    """A publisher that keeps the bodies of each batch."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []
        self._more = asyncio.Event()

    async def publish_all(self, messages: Sequence[OutboxMessage]) -> list[bool]:
        self.sent.append([message.body for message in messages])
        self._more.set()
        return [False] * len(messages)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.sent) < count:
                self._more.clear()
                await self._more.wait()


def command(text: str) -> OutboxMessage:
    return OutboxMessage(new_id(), KEY, KEY, text.encode())


def relay_of(rows: Rows, batches: Batches, **options: Any) -> Relay:
    return Relay(cast(Pool, rows), cast(Publisher, batches), handed_keys=[KEY], **options)


async def turns(count: int = 5) -> None:
    """Let everything run that is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_first_message_after_a_pause_leaves_at_once() -> None:
    batches = Batches()
    relay = relay_of(Rows(), batches, gather_seconds=LONG)
    async with relay.running():
        relay.hand_over([command("first")])
        await batches.until(1)
        assert batches.sent == [[b"first"]]


async def test_what_is_handed_over_soon_after_a_batch_leaves_together() -> None:
    batches = Batches()
    relay = relay_of(Rows(), batches, gather_seconds=0.5)
    async with relay.running():
        relay.hand_over([command("first")])
        await batches.until(1)
        for text in ("second", "third", "fourth"):
            relay.hand_over([command(text)])
            await turns()
        await batches.until(2)
    assert batches.sent == [[b"first"], [b"second", b"third", b"fourth"]]


async def test_a_burst_is_spread_over_several_messages() -> None:
    """A message has no more commands than one worker should take, however many were gathered."""
    batches = Batches()
    relay = relay_of(Rows(), batches, joins={KEY: b" ".join})
    async with relay.running():
        relay.hand_over([command(str(number)) for number in range(20)])
        await batches.until(1)
    assert [len(body.split()) for body in batches.sent[0]] == [8, 8, 4]


async def test_a_relay_that_stops_publishes_what_waits_and_deletes_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "DELETE_SECONDS", LONG)
    rows, batches = Rows(), Batches()
    relay, first, second = relay_of(rows, batches, gather_seconds=LONG), command("first"), command("second")
    async with relay.running():
        relay.hand_over([first])
        await batches.until(1)
        relay.hand_over([second])
        await turns()
        assert (batches.sent, rows.deleted) == ([[b"first"]], [])
    assert batches.sent == [[b"first"], [b"second"]]
    assert rows.deleted == [first.id, second.id]
