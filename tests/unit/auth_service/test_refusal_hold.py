"""The hold on refused passwords: which refusals wait, until when, and which do not."""

import asyncio

import pytest

from auth_service.passwords.hashing_slots import HashingSlot
from auth_service.passwords.refusal_hold import LATE, RefusalHold
from shared.errors import ErrorCode, ServiceError


class Sleeper:
    """Remembers what it was asked to wait for, and does not wait."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def slot(began_ago: float | None) -> HashingSlot:
    """A slot whose hashing began so many seconds ago."""
    since = None if began_ago is None else asyncio.get_running_loop().time() - began_ago
    return HashingSlot(("site", "network", 1), float("inf"), since)


async def refused(hold: RefusalHold, code: ErrorCode, began_ago: float | None) -> None:
    async def check() -> None:
        async with hold.holding() as held_check:
            held_check.slot = slot(began_ago)
            raise ServiceError(code)

    with pytest.raises(ServiceError) as refusal:
        await check()
    assert refusal.value.code is code


@pytest.mark.parametrize("code", [ErrorCode.CREDENTIALS_REFUSED, ErrorCode.CALLER_LIMIT])
async def test_a_refused_password_waits_until_the_hold_ends_after_hashing_began(code: ErrorCode) -> None:
    sleeper = Sleeper()
    await refused(RefusalHold(1000, sleeper), code, began_ago=400)
    assert [round(seconds, -2) for seconds in sleeper.slept] == [600]


@pytest.mark.parametrize(
    ("code", "began_ago"),
    [
        (ErrorCode.CALLER_LIMIT, None),  # refused before any password was compared
        (ErrorCode.UNAVAILABLE, 1),
        (ErrorCode.ACCOUNT_BANNED, 1),  # the password was right
    ],
)
async def test_what_compared_no_password_or_a_right_one_does_not_wait(code: ErrorCode, began_ago: float | None) -> None:
    sleeper = Sleeper()
    await refused(RefusalHold(1000, sleeper), code, began_ago)
    assert sleeper.slept == []


async def test_without_a_hold_nothing_waits() -> None:
    sleeper = Sleeper()
    await refused(RefusalHold(0, sleeper), ErrorCode.CREDENTIALS_REFUSED, began_ago=0)
    assert sleeper.slept == []


async def test_a_right_password_does_not_wait() -> None:
    sleeper = Sleeper()
    async with RefusalHold(1000, sleeper).holding() as check:
        check.slot = slot(1)
    assert sleeper.slept == []


async def test_a_comparison_that_took_longer_than_the_hold_is_counted() -> None:
    sleeper, before = Sleeper(), LATE._value.get()
    await refused(RefusalHold(10, sleeper), ErrorCode.CREDENTIALS_REFUSED, began_ago=20)
    assert (sleeper.slept, LATE._value.get() - before) == ([], 1)
