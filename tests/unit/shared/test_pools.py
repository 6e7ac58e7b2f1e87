"""Slots count what is in use and what waits, whatever becomes of the callers."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from shared.process.pools import Slots, showing_slots


def counts(slots: Slots) -> tuple[int, int]:
    return slots.in_use, slots.waiting


async def test_slots_count_those_in_use_and_the_callers_that_wait() -> None:
    slots = Slots(1)
    async with slots:
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        assert counts(slots) == (1, 1)
    await waiting
    assert counts(slots) == (1, 0)
    slots.release()
    assert counts(slots) == (0, 0)


async def test_a_caller_that_gives_up_waits_no_longer() -> None:
    slots = Slots(1)
    async with slots:
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert counts(slots) == (1, 0)
    assert counts(slots) == (0, 0)


async def test_a_pool_is_shown_as_it_is_when_prometheus_asks_and_no_longer_than_it_lives() -> None:
    def shown(name: str) -> float | None:
        return REGISTRY.get_sample_value(f"haoma_pool_{name}", {"pool": "test"})

    slots = Slots(3)
    with showing_slots("test", slots):
        assert (shown("size"), shown("in_use"), shown("waiting")) == (3, 0, 0)
        async with slots:
            assert shown("in_use") == 1
    assert shown("size") is None
    assert shown("in_use") is None
