"""Acknowledgements over a channel whose queue of frames is short, as aiormq's is."""

import asyncio
from contextlib import suppress

import pytest

from shared.amqp.acks import Acks

FRAMES = 10
"""aiormq's ``FRAME_BUFFER_SIZE``."""


class Channel:
    """The two calls of aiormq's channel, and what the broker makes of the frames, in their order."""

    def __init__(self, deliveries: int) -> None:
        self._frames: asyncio.Queue[tuple[str, int, bool]] = asyncio.Queue(FRAMES)
        self._unsettled = set(range(1, deliveries + 1))
        self.acknowledged: set[int] = set()
        self.returned: set[int] = set()
        self.multiple = 0

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool) -> None:
        assert not wait
        await self._frames.put(("ack", tag, multiple))

    async def basic_nack(self, tag: int, *, requeue: bool, wait: bool) -> None:
        assert requeue
        assert not wait
        await self._frames.put(("nack", tag, False))

    async def read(self) -> None:
        while True:
            method, tag, multiple = await self._frames.get()
            tags = {each for each in self._unsettled if each <= tag} if multiple else {tag}
            assert tags, "the broker closes a channel that settles what it does not know"
            assert tags <= self._unsettled, "the broker closes a channel that settles a delivery twice"
            self._unsettled -= tags
            self.multiple += multiple
            (self.acknowledged if method == "ack" else self.returned).update(tags)


async def settle(deliveries: int, returned: set[int], turns: int) -> Channel:
    """Settle so many deliveries, the last one this many turns of the loop after the others."""
    channel = Channel(deliveries)
    acks = Acks(channel)  # type: ignore[arg-type]  the two calls that it makes
    for tag in range(1, deliveries + 1):
        acks.begin(tag)
    reading = asyncio.create_task(channel.read())
    for tag in range(1, deliveries):
        acks.settle(tag, handled=tag not in returned)
    for _ in range(turns):
        await asyncio.sleep(0)
    acks.settle(deliveries, handled=True)
    await acks.written()
    for _ in range(3):
        await asyncio.sleep(0)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    return channel


@pytest.mark.parametrize("turns", range(16))
async def test_a_returned_delivery_is_not_acknowledged_with_a_younger_one_however_full_the_queue_of_frames_is(
    turns: int,
) -> None:
    returned = set(range(1, 51))

    channel = await settle(51, returned, turns)

    assert channel.returned == returned
    assert channel.acknowledged == {51}


@pytest.mark.parametrize("turns", range(16))
async def test_each_delivery_is_settled_once_when_handled_and_returned_ones_alternate(turns: int) -> None:
    returned = set(range(2, 51, 2))

    channel = await settle(51, returned, turns)

    assert channel.returned == returned
    assert channel.acknowledged == set(range(1, 52)) - returned


async def test_deliveries_that_were_handled_together_are_acknowledged_in_one_frame() -> None:
    channel = await settle(40, set(), 0)

    assert channel.acknowledged == set(range(1, 41))
    assert channel.multiple == 1
