"""Guesses at codes: how many are compared. Each that is compared counts on the number, in a table."""

from collections.abc import Sequence

from drill.callers import NETWORKS, Caller, registered, strangers
from drill.measures import Measured
from drill.target import COOLDOWN, HOUR, Target
from support.app import fresh_number

WINDOWS_IN_A_DAY = 24 + 1
GUESSED = "select coalesce(cardinality(failures), 0) from number_activity where phone_ref = $1"
GUESSED_FROM = "select failures from check_failures_by_network where network = $1"


async def guess_as_strangers(target: Target) -> Measured:
    """Ten networks guess a code of a number with an account for a day."""
    number, _ = await registered(target)
    return await _guess_for_a_day(target, number, "sign_in", strangers(target))


async def guess_as_neighbours(target: Target) -> Measured:
    """Ten networks and a caller in the owner's network guess for a day."""
    number, owner = await registered(target)
    return await _guess_for_a_day(target, number, "sign_in", [owner.neighbour, *strangers(target)])


async def guess_at_a_free_number(target: Target) -> Measured:
    """Ten networks guess a registration code for a day."""
    return await _guess_for_a_day(target, fresh_number(), "sign_up", strangers(target))


async def _guess_for_a_day(target: Target, number: str, purpose: str, callers: Sequence[Caller]) -> Measured:
    """Every caller requests a code and guesses six times, in each step. The last step leaves the day whole."""
    await target.age(number, 24 * HOUR)
    requests = 0
    steps = target.size.steps
    for step in range(steps):
        spent = 0
        for caller in callers:
            sent = await caller.ask(number, purpose)
            await caller.guess(number, purpose)
            requests += 7
            if sent.status == 202:
                await target.age(number, COOLDOWN)
                spent += COOLDOWN
        if step < steps - 1:
            await target.age(number, 24 * HOUR // steps - spent)
    compared = await target.tables.connections["sms"].fetchval(GUESSED, target.tables.ref(number))
    return Measured(compared, f"{requests} requests of {NETWORKS} networks in a day")


async def guess_at_many_numbers(target: Target) -> Measured:
    """One network guesses log-in codes of one number after the other until it is told to wait."""
    stranger, numbers = Caller(target.app), 0
    number, _ = await registered(target)
    while (await stranger.ask(number, "sign_in")).status == 202:
        await stranger.guess(number, "sign_in", tries=5)
        numbers += 1
        number, _ = await registered(target)
    return await _guessed_in_windows(target, stranger, numbers)


async def guess_at_many_free_numbers(target: Target) -> Measured:
    """One address guesses registration codes of one number after the other until it gets no more messages."""
    stranger, numbers = Caller(target.app), 0
    while (await stranger.ask(number := fresh_number(), "sign_up")).status == 202:
        await stranger.guess(number, "sign_up", tries=5)
        numbers += 1
    return await _guessed_in_windows(target, stranger, numbers)


async def _guessed_in_windows(target: Target, stranger: Caller, numbers: int) -> Measured:
    compared = await incorrect_codes(target, stranger)
    return Measured(
        compared * WINDOWS_IN_A_DAY, f"{compared} guesses at {numbers} numbers, {WINDOWS_IN_A_DAY} windows a day"
    )


async def incorrect_codes(target: Target, caller: Caller) -> int:
    """How many incorrect codes count on the network of a caller."""
    return await target.tables.connections["sms"].fetchval(GUESSED_FROM, caller.network) or 0
