"""The events of matches: written after the answers, together, and kept while PostgreSQL does not accept them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from contacts_service import match_events
from contacts_service.match_events import MAX_WAITING, MatchEvents
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events.envelope import OutboxMessage


@dataclass
class Outbox:
    """An outbox in memory, which can be down."""

    batches: list[list[OutboxMessage]] = field(default_factory=list)
    failures: int = 0
    is_down: bool = False

    async def put(self, events: Sequence[OutboxMessage]) -> None:
        if self.is_down:
            self.failures += 1
            raise unavailable()
        self.batches.append(list(events))

    @property
    def written(self) -> list[OutboxMessage]:
        return [event for batch in self.batches for event in batch]


def event(number: int) -> OutboxMessage:
    return OutboxMessage(UUID(int=number), "exchange", "key", b"{}")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    monkeypatch.setattr(match_events, "RETRY_SECONDS", 0.001)
    return Outbox()


async def test_events_of_several_matches_are_written_together(outbox: Outbox) -> None:
    events = MatchEvents(outbox)
    async with events.running():
        for number in range(3):
            events.add(event(number))
        await until(lambda: bool(outbox.batches))

    assert outbox.batches == [[event(0), event(1), event(2)]]


async def test_events_wait_while_the_outbox_cannot_be_written_and_keep_their_order(outbox: Outbox) -> None:
    outbox.is_down = True
    events = MatchEvents(outbox)
    async with events.running():
        events.add(event(0))
        await until(lambda: outbox.failures > 1)
        events.add(event(1))
        outbox.is_down = False
        await until(lambda: len(outbox.written) == 2)

    assert outbox.written == [event(0), event(1)]


async def test_events_that_wait_at_the_end_are_written(outbox: Outbox) -> None:
    events = MatchEvents(outbox)
    async with events.running():
        events.add(event(0))

    assert outbox.written == [event(0)]


async def test_no_event_is_taken_while_too_many_wait(outbox: Outbox) -> None:
    outbox.is_down = True
    events = MatchEvents(outbox)
    for number in range(MAX_WAITING):
        events.add(event(number))

    with pytest.raises(ServiceError) as refusal:
        events.add(event(MAX_WAITING))

    assert refusal.value.code is ErrorCode.UNAVAILABLE
