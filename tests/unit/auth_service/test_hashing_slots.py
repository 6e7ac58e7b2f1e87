"""Turns at the hashing threads: who waits, who is shed, and what a flood costs the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address

import pytest
from structlog.testing import capture_logs

from auth_service.passwords.fair_queue import Path
from auth_service.passwords.hashing_slots import (
    RETRY_AFTER,
    SHED_JOBS,
    HashingSlot,
    HashingSlots,
    QueueLimit,
    Shedding,
    share_of,
)
from shared.errors import ErrorCode, ServiceError
from shared.networks import RequestSource

LONG = 30.0
ENDLESS = float("inf")


class Fixed(QueueLimit):
    """A limit that does not depend on the machine: so many slots, and so many callers that wait for one."""

    slots = 0
    waiting = 0

    def __init__(self, slots: int, waiting: int) -> None:
        self.slots, self.waiting = slots, waiting


class Callers:
    """Callers that keep their slot until they are told to give it back."""

    def __init__(self, slots: HashingSlots, *, max_wait_seconds: float = LONG) -> None:
        self._slots = slots
        self._max_wait_seconds = max_wait_seconds
        self.served: list[str] = []
        self._done = asyncio.Event()

    async def call(self, network: str, account: int = 1, *, keep: bool = False) -> None:
        await self._take((network, network, account), network, keep=keep)

    def start_at(self, address: str) -> "asyncio.Task[None]":
        """A caller with an address, at an account of its own."""
        share = share_of(RequestSource(ip_address(address)), len(address))
        return asyncio.create_task(self._take(share, address, keep=False))

    async def _take(self, share: Path, name: str, *, keep: bool) -> None:
        ends_at = asyncio.get_running_loop().time() + self._max_wait_seconds
        async with self._slots.take(HashingSlot(share, ends_at)):
            self.served.append(name)
            if keep:
                await self._done.wait()

    def start(self, network: str, account: int = 1, *, keep: bool = False) -> "asyncio.Task[None]":
        return asyncio.create_task(self.call(network, account, keep=keep))

    def finish(self) -> None:
        self._done.set()


async def settle() -> None:
    """Let every task run until it waits for another."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def all_taken(slots: HashingSlots, count: int) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for number in range(count):
            await stack.enter_async_context(slots.take(HashingSlot(("first", "first", number), ENDLESS)))
        yield


def outcome(task: "asyncio.Task[None]") -> ErrorCode | None:
    error = task.exception()
    return error.code if isinstance(error, ServiceError) else None


async def test_a_flood_from_three_networks_loses_its_own_callers_and_no_one_else() -> None:
    slots = HashingSlots(Shedding(), Fixed(2, 40))
    callers = Callers(slots)
    async with all_taken(slots, 2):
        flood = [callers.start(f"flood {n % 3}", n % 10) for n in range(300)]
        await settle()
        others = [callers.start(f"other {n}") for n in range(20)]
        await settle()
    await asyncio.wait([*flood, *others])

    assert {outcome(task) for task in others} == {None}
    assert sum(outcome(task) is ErrorCode.UNAVAILABLE for task in flood) == 300 - 40 + 20
    assert callers.served.index("other 0") <= 3  # one of each network in the flood, at most, went before


async def test_a_flood_from_every_site_of_one_provider_refuses_no_one_elsewhere() -> None:
    slots = HashingSlots(Shedding(), Fixed(2, 40))
    callers = Callers(slots)
    owners = [f"203.0.{n}.1" for n in range(10)] + [f"2001:{n + 1:x}::1" for n in range(10)]
    async with all_taken(slots, 2):
        flood = [callers.start_at(f"2a0d:1234:{site:x}::1") for site in range(0, 0x10000, 0x80)]
        await settle()
        others = [callers.start_at(owner) for owner in owners]
        await settle()
    await asyncio.wait([*flood, *others])

    assert {outcome(task) for task in others} == {None}
    assert sum(outcome(task) is ErrorCode.UNAVAILABLE for task in flood) == len(flood) - 20


async def test_users_behind_one_block_have_sixteen_turns_beside_floods_from_elsewhere() -> None:
    slots = HashingSlots(Shedding(), Fixed(2, 400))
    callers = Callers(slots)
    users = [f"2001:db8:{site:x}::1" for site in range(32)]
    async with all_taken(slots, 2):
        flood = [callers.start_at(f"203.0.{n}.{host}") for host in range(1, 21) for n in range(10)]
        crowd = [callers.start_at(user) for user in users]
        await settle()
    await asyncio.wait([*flood, *crowd])

    assert set(users) <= set(callers.served[:64])  # two rounds of 26 turns, and some again between new ones


async def test_a_flood_from_one_site_refuses_no_other_site_of_its_provider() -> None:
    slots = HashingSlots(Shedding(), Fixed(2, 40))
    callers = Callers(slots)
    async with all_taken(slots, 2):
        flood = [callers.start_at(f"2001:db8:1:{network:x}00::1") for network in range(250)]
        await settle()
        others = [callers.start_at(f"2001:db8:{site:x}::1") for site in range(0x100, 0x2000, 0x100)]
        await settle()
    await asyncio.wait([*flood, *others])

    assert {outcome(task) for task in others} == {None}


async def test_many_callers_of_one_provider_wait_as_others_do_while_the_queue_has_room() -> None:
    slots = HashingSlots(Shedding(), Fixed(2, 40))
    callers = Callers(slots)
    async with all_taken(slots, 2):
        crowd = [callers.start_at(f"2001:db8:{site:x}::1") for site in range(30)]
        others = [callers.start_at(f"203.0.{n}.1") for n in range(10)]
        await settle()
    await asyncio.wait([*crowd, *others])

    assert {outcome(task) for task in (*crowd, *others)} == {None}


async def test_others_are_served_while_the_flood_still_waits() -> None:
    slots = HashingSlots(Shedding(), Fixed(2, 40))
    callers = Callers(slots)
    async with all_taken(slots, 2):
        flood = [callers.start("flood", n) for n in range(40)]
        await settle()
        others = [callers.start(f"other {n}") for n in range(4)]
        await settle()
    await asyncio.wait([*flood, *others])

    assert [name.split()[0] for name in callers.served[:6]].count("other") == 4


async def test_a_site_without_a_slot_need_not_wait_while_there_is_one_for_newcomers() -> None:
    slots = HashingSlots(Shedding(), Fixed(2, 40), for_newcomers=1)
    callers = Callers(slots)
    async with all_taken(slots, 2):
        neighbour, newcomer = callers.start("first"), callers.start("new", keep=True)
        another = callers.start("another")
        await settle()
        assert callers.served == ["new"]
    await asyncio.wait([neighbour, another])
    callers.finish()
    await newcomer

    assert sorted(callers.served) == ["another", "first", "new"]


async def test_slots_for_newcomers_are_no_slots_for_those_who_wait() -> None:
    slots = HashingSlots(Shedding(), Fixed(1, 40), for_newcomers=1)
    callers = Callers(slots)
    running = [callers.start("flood", keep=True), callers.start("new", keep=True)]
    await settle()
    waiting = [callers.start("flood", number, keep=True) for number in range(2)]
    await settle()
    assert callers.served == ["flood", "new"]
    running[1].cancel()
    await settle()

    assert callers.served == ["flood", "new"]
    callers.finish()
    await asyncio.wait([*running, *waiting])
    assert callers.served == ["flood", "new", "flood", "flood"]


async def test_a_full_queue_of_one_network_refuses_that_network_only() -> None:
    slots = HashingSlots(Shedding(), Fixed(1, 4))
    callers = Callers(slots)
    async with all_taken(slots, 1):
        waiting = [callers.start("a", n) for n in range(4)]
        await settle()
        refused = callers.start("a", 5)
        await settle()
        assert outcome(refused) is ErrorCode.UNAVAILABLE
        neighbour = callers.start("b")
        await settle()
        assert not neighbour.done()
    await asyncio.wait([*waiting, neighbour])

    assert [outcome(task) for task in waiting] == [None, None, None, ErrorCode.UNAVAILABLE]
    assert outcome(neighbour) is None


async def test_a_caller_that_waits_too_long_is_told_when_to_come_back() -> None:
    slots = HashingSlots(Shedding(), Fixed(1, 4))
    callers = Callers(slots, max_wait_seconds=0.01)
    keeper = callers.start("a", keep=True)
    await settle()

    with pytest.raises(ServiceError) as refusal:
        await callers.call("b")

    assert (refusal.value.code, refusal.value.retry_after) == (ErrorCode.UNAVAILABLE, RETRY_AFTER)
    callers.finish()
    await keeper
    await callers.call("b")
    assert callers.served == ["a", "b"]


async def test_a_caller_that_goes_away_leaves_its_place_to_the_next() -> None:
    slots = HashingSlots(Shedding(), Fixed(1, 4))
    callers = Callers(slots)
    async with all_taken(slots, 1):
        gone, next_one = callers.start("a"), callers.start("b")
        await settle()
        gone.cancel()
    await asyncio.wait([gone, next_one])
    await callers.call("c")

    assert callers.served == ["b", "c"]


async def test_a_caller_that_goes_away_as_it_gets_a_slot_passes_it_on() -> None:
    slots = HashingSlots(Shedding(), Fixed(1, 4))
    callers = Callers(slots)
    async with all_taken(slots, 1):
        gone, next_one = callers.start("a"), callers.start("b")
        await settle()
    gone.cancel()  # it has a slot, and has not run since
    await asyncio.wait([gone, next_one])
    await callers.call("c")

    assert callers.served == ["b", "c"]


async def test_a_slot_more_goes_to_a_neighbour_who_waits_and_not_to_the_next_of_a_flood() -> None:
    limit = Fixed(1, 8)
    slots = HashingSlots(Shedding(), limit)
    callers = Callers(slots)
    running = callers.start("a", keep=True)
    await settle()
    first = callers.start("b", keep=True)
    await settle()
    limit.slots = 3
    second = callers.start("a", 2, keep=True)
    await settle()
    assert callers.served == ["a"]
    callers.finish()
    await asyncio.wait([running, first, second])

    assert callers.served == ["a", "b", "a"]


async def test_a_failure_gives_the_slot_back() -> None:
    slots = HashingSlots(Shedding(), Fixed(1, 0))

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with slots.take(HashingSlot(("a", "a", 1), ENDLESS)):
                raise ZeroDivisionError


async def test_a_site_is_alone_beside_a_crowd_if_it_has_one_slot_and_another_has_several() -> None:
    slots = HashingSlots(Shedding(), Fixed(4, 0))
    async with AsyncExitStack() as stack:

        async def take(network: str) -> None:
            await stack.enter_async_context(slots.take(HashingSlot((network, network, 1), ENDLESS)))

        def alone(network: str) -> bool:
            return slots.is_alone_beside_a_crowd((network, network, 1))

        await take("a")
        await take("b")
        assert not alone("a")
        assert not alone("b")
        await take("a")
        assert not alone("a")
        assert alone("b")
        await take("b")
        assert not alone("b")


def test_a_share_is_what_a_provider_has_each_network_in_it_and_the_account() -> None:
    assert share_of(RequestSource(ip_address("2001:db8:1:2ff::1")), 7) == (
        "2001:db8::/32 1",
        "2001:db8::/40",
        "2001:db8:1::/48",
        "2001:db8:1:200::/56",
        7,
    )
    assert share_of(RequestSource(ip_address("203.0.113.9"), "shop"), 7) == (*["203.0.113.0/24"] * 4, 7)


def test_the_server_of_an_app_has_a_share_of_its_own_if_it_tells_no_address() -> None:
    assert share_of(RequestSource(None, "shop"), 7) == (*["app shop"] * 4, 7)
    assert share_of(RequestSource(None, user_id=42), 7)[0] == "user 42"


def test_the_log_has_one_line_a_second_for_each_reason_and_the_metric_counts_all() -> None:
    now = [100.0]
    shedding = Shedding(lambda: now[0])
    before = SHED_JOBS.labels("full")._value.get()

    with capture_logs() as logs:
        for seconds in (0.0, 0.5, 0.4, 0.2):
            now[0] += seconds
            assert shedding.refusal("full").code is ErrorCode.UNAVAILABLE
        shedding.refusal("slow")

    assert [line["reason"] for line in logs] == ["full", "full", "slow"]
    assert SHED_JOBS.labels("full")._value.get() - before == 4
