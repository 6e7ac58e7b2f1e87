"""Attacks on log-ins with a password from the owner's own network, and guesses at passwords."""

from drill.callers import Caller, registered
from drill.measures import Measured
from drill.target import HOUR, Target
from support.app import Reply, fresh_number

WRONG = "a wrong guess"
MAX_GUESSES = 100
MAX_FAILURES = 1000
WINDOWS_IN_A_DAY = 24 * 4 + 1


async def guess_as_neighbour(target: Target) -> Measured:
    """A caller in the owner's network guesses until it is told to wait. From then on guesses come back evenly."""
    number, owner = await registered(target)
    compared = await _failures_until_refused(owner.neighbour, number)
    return Measured(
        compared * WINDOWS_IN_A_DAY, f"{compared} of {MAX_GUESSES} guesses compared; {WINDOWS_IN_A_DAY} times that"
    )


async def guess_as_strangers(target: Target) -> Measured:
    """Callers in many networks guess until one in a new network is told to wait: until even the right password is."""
    number, _ = await registered(target)
    guesses = 0
    while guesses < MAX_GUESSES and (await Caller(target.app).log_in(number, WRONG)).status == 403:
        guesses += 1
    passes = (await Caller(target.app).log_in(number)).status == 200
    return Measured(
        2 * (MAX_GUESSES if passes else guesses), f"{guesses} guesses from as many networks; a day brings as many more"
    )


async def keep_out_as_neighbour(target: Target) -> Measured:
    """A caller in the owner's network guesses until it is told to wait. The owner logs in there."""
    number, owner = await registered(target)
    compared = await _failures_until_refused(owner.neighbour, number)
    return Measured(_wait(await owner.log_in(number)), f"{compared} failed log-ins from the owner's network")


async def keep_everybody_out(target: Target) -> Measured:
    """A caller fails to log in at one number after the other until its network is told to wait. Its owner logs in."""
    number, owner = await registered(target)
    neighbour, failed = owner.neighbour, 0
    while failed < MAX_FAILURES and _is_compared(await neighbour.log_in(fresh_number(), WRONG)):
        failed += 1
    return Measured(_wait(await owner.log_in(number)), f"{failed} failed log-ins from the owner's network")


async def _failures_until_refused(caller: Caller, number: str) -> int:
    for failures in range(MAX_GUESSES):
        if not _is_compared(await caller.log_in(number, WRONG)):
            return failures
    return MAX_GUESSES


def _is_compared(reply: Reply) -> bool:
    assert reply.status in {403, 429}, reply.body
    return reply.status == 403


def _wait(reply: Reply) -> int:
    """For how many seconds a right password is refused."""
    if reply.status == 200:
        return 0
    assert reply.status == 429, reply.body
    return min(int(reply.headers["Retry-After"]), HOUR)
