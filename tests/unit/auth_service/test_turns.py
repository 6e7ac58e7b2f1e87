"""Turns at one ticket."""

import asyncio
from uuid import uuid4

import pytest

from auth_service.tickets import redemption_lock
from auth_service.tickets.redemption_lock import RedemptionLocks
from shared.errors import ErrorCode, ServiceError


async def test_those_who_wait_learn_what_the_first_one_did() -> None:
    ticket, table = uuid4(), RedemptionLocks()

    async def redeem(proof: bytes) -> bytes:
        async with table.take(ticket) as turn:
            await asyncio.sleep(0)
            turn.proof = turn.proof or proof
            return turn.proof

    assert await asyncio.gather(redeem(b"first"), redeem(b"second"), redeem(b"third")) == [b"first"] * 3


async def test_tickets_do_not_wait_for_each_other() -> None:
    table = RedemptionLocks()

    async with table.take(uuid4()) as one, table.take(uuid4()) as other:
        assert one is not other


async def test_nothing_is_kept_when_nobody_waits_even_after_a_failure() -> None:
    table = RedemptionLocks()

    with pytest.raises(ZeroDivisionError):
        async with table.take(uuid4()):
            raise ZeroDivisionError

    assert table._turns == {}


async def test_a_turn_that_takes_too_long_sheds_those_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redemption_lock, "WAIT_SECONDS", 0.01)
    ticket, table = uuid4(), RedemptionLocks()

    async with table.take(ticket):
        with pytest.raises(ServiceError) as refusal:
            async with table.take(ticket):
                pytest.fail("two held one turn")

    assert refusal.value.code is ErrorCode.UNAVAILABLE
    assert table._turns == {}
