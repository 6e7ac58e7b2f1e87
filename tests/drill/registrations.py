"""Attacks on a number without an account, which someone wants to register."""

from collections.abc import Awaitable, Callable

from drill.callers import Caller, strangers
from drill.guessing import incorrect_codes
from drill.measures import Measured
from drill.target import COOLDOWN, HOUR, Target
from support.app import fresh_number

Asks = Callable[[Caller, str], Awaitable[bool]]
"""Requests a registration code in one dialect, and tells whether it was sent."""
STEP = 600
NEWCOMERS = 5
GIVE_UP = 24 * HOUR


async def delay_a_registration(target: Target) -> Measured:
    """Ten networks use up sends and tries, and then take each that becomes free before the honest caller can."""
    longest = 0
    for _ in range(target.size.registrations):
        for asks in (_in_native, _in_tel):
            longest = max(longest, await _delay(target, asks))
            target.progress(f"registrations are delayed by {longest} s at most")
    return Measured(longest, f"{2 * target.size.registrations} numbers, in native and in tel, 10 networks")


async def keep_newcomers_out(target: Target) -> Measured:
    """A stranger uses up the incorrect codes of its network. Newcomers there want to register."""
    stranger, entered = Caller(target.app), 0
    while await _enters_five(target, stranger):
        entered += 5
    refused = 0
    for _ in range(NEWCOMERS):
        number, newcomer = fresh_number(), stranger.neighbour
        sent = await newcomer.ask(number, "sign_up")
        checked = await newcomer.check(number, "sign_up", await target.app.code(number)) if sent.status == 202 else sent
        refused += checked.status != 200
    return Measured(refused, f"{NEWCOMERS} newcomers in a network, after {entered} incorrect codes there")


async def _enters_five(target: Target, stranger: Caller) -> bool:
    """Whether a stranger can enter five incorrect codes at one more number."""
    before, number = await incorrect_codes(target, stranger), fresh_number()
    assert (await stranger.ask(number, "sign_up")).status == 202
    await stranger.guess(number, "sign_up", tries=5)
    return await incorrect_codes(target, stranger) == before + 5


async def _delay(target: Target, asks: Asks) -> int:
    number, honest, delay = fresh_number(), Caller(target.app), 0
    hostile = strangers(target)
    for stranger in hostile * 2:
        if await asks(stranger, number):
            await target.app.code(number)
            await target.age(number, COOLDOWN)
            await stranger.guess(number, "sign_up")
    while delay < GIVE_UP and not await _registers(target, number, honest, hostile, asks):
        delay += STEP
        await target.age(number, STEP)
    return delay


async def _registers(target: Target, number: str, honest: Caller, hostile: list[Caller], asks: Asks) -> bool:
    """Whether the honest caller registers now. Strangers ask before them, and guess before they enter the code."""
    for stranger in hostile:
        if await asks(stranger, number):
            await target.app.code(number)
            return False  # the honest caller is in the cooldown, for a minute
    if not await asks(honest, number):
        return False
    code = await target.app.code(number)
    for stranger in hostile:
        await stranger.guess(number, "sign_up", tries=2)
    return (await honest.check(number, "sign_up", code)).status == 200


async def _in_native(caller: Caller, number: str) -> bool:
    return (await caller.ask(number, "sign_up")).status == 202


async def _in_tel(caller: Caller, number: str) -> bool:
    return (await caller.ask_tel(number, "signup")).status == 200
