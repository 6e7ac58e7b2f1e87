"""Learning which numbers have an account: by contact look-ups, and by the answers of the contracts."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from drill.callers import Caller, fresh_place, registered
from drill.measures import Measured
from drill.target import HOUR, Target
from support.app import Reply, fresh_number

ACCOUNTS = 6
IN_FLIGHT = 16
CALLS_AT_ONCE = 30
"""How many calls of contacts a user has at once, before the drill lets a minute pass for the limit on calls."""
MAX_IN_A_CALL = 2000
HOURS = 24


async def look_up_for_a_day(target: Target) -> Measured:
    """An account looks up as many members as it may at once, and again after an hour."""
    account = await _Account.registered(target)
    at_once = await account.spend_budget()
    await account.pass_time(HOUR)
    an_hour = await account.spend_budget()
    day = at_once + HOURS * an_hour
    return Measured(day, f"{at_once:,} numbers at once and {an_hour:,} an hour later; {HOURS} such hours")


async def look_up_after_the_budget(target: Target) -> Measured:
    """An account looks up unseen numbers one by one after its budget is spent."""
    account = await _Account.registered(target)
    await account.spend_budget()
    answered = await account.look_up_each(_unseen(target.size.unseen))
    return Measured(len(answered), f"{target.size.unseen:,} unseen numbers, one a call", target.size.unseen / 10_000)


async def look_up_with_six_accounts(target: Target) -> Measured:
    """Six accounts look up the same unseen numbers after their budgets are spent."""
    numbers, answered = _unseen(target.size.unseen), set[str]()
    for _ in range(ACCOUNTS):
        account = await _Account.registered(target)
        await account.spend_budget()
        answered |= await account.look_up_each(numbers)
    tries = f"{len(numbers):,} unseen numbers, by each of {ACCOUNTS} accounts"
    return Measured(len(answered), tries, len(numbers) / 10_000)


def _unseen(count: int) -> list[str]:
    return [fresh_number() for _ in range(count)]


class _Account:
    """A user who looks contacts up. Between calls, the limit on calls is given time; the budget is not."""

    def __init__(self, target: Target, number: str, token: str) -> None:
        self._target = target
        self._key = target.contact_budget_of(number)
        self._headers = {"Authorization": f"Bearer {token}"}

    @classmethod
    async def registered(cls, target: Target) -> "_Account":
        number = fresh_number()
        caller = Caller(target.app)
        assert (await caller.ask(number, "sign_up")).status == 202
        checked = await caller.check(number, "sign_up", await target.app.code(number))
        reply = await caller.call("POST", "/v2/accounts", {"ticket": checked.body["ticket"]})
        return cls(target, number, reply.body["tokens"]["access_token"])

    async def spend_budget(self) -> int:
        """Look up lists of unseen numbers, each as long as what is left. Returns how many were answered."""
        answered, left = 0, 1
        while left:
            size = 1 if not answered else min(left, MAX_IN_A_CALL)
            await self._let_calls_pass()
            reply = await self._match(_unseen(size))
            if reply.status != 200:
                break
            answered, left = answered + size, reply.body["budget_left"]
        return answered

    async def look_up_each(self, numbers: Sequence[str]) -> set[str]:
        """The numbers that were answered, one a call."""
        found = set[str]()
        for start in range(0, len(numbers), CALLS_AT_ONCE):
            await self._let_calls_pass()
            batch = numbers[start : start + CALLS_AT_ONCE]
            replies = await asyncio.gather(*(self._match([number]) for number in batch))
            assert {reply.status for reply in replies} <= {200, 429}
            assert not [reply for reply in replies if reply.status == 429 and reply.body["code"] != "contact_budget"]
            found |= {number for number, reply in zip(batch, replies, strict=True) if reply.status == 200}
            if start % 3000 == 0:
                self._target.progress(
                    f"{start + len(batch):,} of {len(numbers):,} unseen numbers, {len(found)} answered"
                )
        return found

    async def pass_time(self, seconds: int) -> None:
        """Move the spent budget into the past."""
        await self._target.redis.hincrbyfloat(self._key, "at", -seconds)

    async def _let_calls_pass(self) -> None:
        await self._target.redis.hdel(self._key, "full_at")

    async def _match(self, phones: Sequence[str]) -> Reply:
        return await self._target.app.call("POST", "/v2/contacts/match", json={"phones": phones}, headers=self._headers)


async def look_up_from_a_network(target: Target) -> Measured:
    """All addresses of a /24 ask about numbers and request codes, at once and again after an hour."""
    answered, hours = await _answered_in_an_hour(target, (_checks, _requests))
    return Measured(sum(answered), _shown("numbers", answered), (1 + hours) / (1 + HOURS))


async def bill_of_a_network(target: Target) -> Measured:
    """All addresses of a /24 request codes for an hour, each for another number, of strangers and of known callers."""
    place = fresh_place()
    known = await _KnownNumbers.at(target, place)
    answered, hours = await _answered_in_an_hour(target, (_requests, known.request), place)
    return Measured(sum(answered), _shown("messages", answered), (1 + hours) / 2)


async def _answered_in_an_hour(
    target: Target, questions: Sequence["Ask"], place: str | None = None
) -> tuple[list[int], float]:
    """How many calls of a /24 are answered at once, and again an hour later; and the hours that passed in all.

    Limits refill while the drill counts, so a few seconds pass beside the hour.
    """
    place, started, answered = place or fresh_place(), time.monotonic(), []
    addresses = itertools.cycle([f"{place}.{last}" for last in range(256)])
    for passes in (0, HOUR):
        await target.age_place(f"{place}.0/24", passes)
        answered.append(sum([await _count(target, addresses, ask) for ask in questions]))
        target.progress(f"a /24 has {answered[-1]:,} answers")
    return answered, (time.monotonic() - started + HOUR) / HOUR


def _shown(unit: str, answered: Sequence[int]) -> str:
    at_once, later = answered
    return f"{at_once:,} {unit} at once, {later:,} an hour later; the promise is that for this time"


Ask = Callable[[Caller], Awaitable[bool]]


async def _checks(caller: Caller) -> bool:
    reply = await caller.call("POST", "/v1/register/checkPhone", {"phone": fresh_number()})
    assert reply.body["errorCode"] in {"0000", "1008"}, reply.body
    return bool(reply.body["errorCode"] == "0000")


async def _requests(caller: Caller) -> bool:
    reply = await caller.ask(fresh_number(), "sign_up")
    assert reply.status in {202, 429}, reply.body
    return reply.status == 202


class _KnownNumbers:
    """Numbers whose owners have logged in at a /24. They stand for as many as it takes: no limit of theirs is reached."""

    def __init__(self, target: Target, numbers: Sequence[str]) -> None:
        self._target = target
        self._numbers = itertools.cycle(numbers)

    @classmethod
    async def at(cls, target: Target, place: str) -> "_KnownNumbers":
        """Numbers that were registered elsewhere: that would use up codes of the /24."""
        numbers = []
        for last in range(IN_FLIGHT):
            number, _ = await registered(target)
            assert (await Caller(target.app, f"{place}.{last}").log_in(number)).status == 200
            numbers.append(number)
        return cls(target, numbers)

    async def request(self, caller: Caller) -> bool:
        number = next(self._numbers)
        await self._target.age(number, HOURS * HOUR)
        reply = await caller.ask(number, "sign_in")
        assert reply.status == 202 or reply.body["code"] == "caller_limit", reply.body
        return reply.status == 202


async def _count(target: Target, addresses: Iterable[str], ask: Ask) -> int:
    """How many calls are answered until all of a batch are refused."""
    answered = 0
    while True:
        batch = [Caller(target.app, address) for address in itertools.islice(addresses, IN_FLIGHT)]
        replies = await asyncio.gather(*(ask(caller) for caller in batch))
        answered += sum(replies)
        if not any(replies):
            return answered
