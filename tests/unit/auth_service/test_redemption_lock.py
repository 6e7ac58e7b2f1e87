"""The locks of tickets that are being redeemed."""

import asyncio
from uuid import uuid4

import pytest

from auth_service.tickets import redemption_lock
from auth_service.tickets.redemption_lock import RedemptionLocks
from shared.errors import ErrorCode, ServiceError


async def test_later_requests_see_the_outcome_of_the_first() -> None:
    ticket, locks = uuid4(), RedemptionLocks()

    async def redeem(digest: bytes) -> bytes:
        async with locks.locked(ticket) as lock:
            await asyncio.sleep(0)
            lock.secret_digest = lock.secret_digest or digest
            return lock.secret_digest

    assert await asyncio.gather(redeem(b"first"), redeem(b"second"), redeem(b"third")) == [b"first"] * 3


async def test_tickets_do_not_wait_for_each_other() -> None:
    locks = RedemptionLocks()

    async with locks.locked(uuid4()) as one, locks.locked(uuid4()) as other:
        assert one is not other


async def test_a_lock_is_dropped_after_its_last_use_even_after_a_failure() -> None:
    locks = RedemptionLocks()

    with pytest.raises(ZeroDivisionError):
        async with locks.locked(uuid4()):
            raise ZeroDivisionError

    assert locks._locks == {}


async def test_a_lock_that_is_held_too_long_sheds_the_requests_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redemption_lock, "MAX_WAIT_SECONDS", 0.01)
    ticket, locks = uuid4(), RedemptionLocks()

    async with locks.locked(ticket):
        with pytest.raises(ServiceError) as refusal:
            async with locks.locked(ticket):
                pytest.fail("two requests held one lock")

    assert refusal.value.code is ErrorCode.UNAVAILABLE
    assert locks._locks == {}
