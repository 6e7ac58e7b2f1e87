"""Matching an address book, with members, budget and outbox in memory."""

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from contacts_service.matching import BudgetCharge, Matcher, Member
from contacts_service.numbers import NumberReader
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events.envelope import OutboxMessage
from shared.internal_api.contacts import MAX_NUMBERS
from shared.numbers.ref_filter import RefFilter, bytes_for
from shared.phone import E164, PhoneKeys, parse

KEYS = PhoneKeys(b"k" * 32)
CALLER = 1
OWN = E164("+8613900139000")


@dataclass
class World:
    """Members, a budget and an outbox, all in memory."""

    members: dict[int, Member] = field(default_factory=dict)
    ref_filter: RefFilter = field(default_factory=lambda: RefFilter(bytearray(bytes_for(0))))
    charged: list[int] = field(default_factory=list)
    calls: int = 0
    lookups: list[list[int]] = field(default_factory=list)
    sent: list[OutboxMessage] = field(default_factory=list)
    refusal: ServiceError | None = None
    outage: ServiceError | None = None
    is_full: bool = False
    paid: asyncio.Event = field(default_factory=asyncio.Event)
    """The budget answers once it is set."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Look-ups end once it is set."""

    def __post_init__(self) -> None:
        self.released.set()
        self.paid.set()
        self.matcher = Matcher(NumberReader(KEYS), self, self.ref_filter, self, self)

    def refuse_full(self) -> None:
        if self.is_full:
            raise unavailable()

    def add(self, event: OutboxMessage) -> None:
        self.sent.append(event)

    def join(self, user_id: int, number: str) -> None:
        ref = KEYS.ref(parse(number))
        self.members[ref] = (user_id, f"name {user_id}", f"https://pictures/{user_id}")
        self.ref_filter.add([ref])

    async def charge(self, own_ref: int, refs: Collection[int]) -> BudgetCharge:
        assert own_ref == KEYS.ref(OWN)
        self.calls += 1
        await self.paid.wait()
        if self.refusal:
            raise self.refusal
        new = set(refs)
        self.charged += new
        return BudgetCharge(len(new), 5000 - len(new))

    async def find(self, refs: Sequence[int], *, user_id: int) -> dict[int, Member]:
        self.lookups.append(list(refs))
        await self.released.wait()
        if self.outage:
            raise self.outage
        members = {ref: self.members[ref] for ref in sorted(refs) if ref in self.members}
        return {ref: member for ref, member in members.items() if member[0] != user_id}

    async def match(self, *phones: Any) -> list[tuple[str, int]]:
        matched = await self.matcher.match(CALLER, OWN, list(phones))
        return [(contact["phone"], contact["user_id"]) for contact in matched.matches]


@pytest.fixture
def world() -> World:
    return World()


async def test_members_are_returned_in_the_order_of_the_list_each_once_with_the_first_spelling(world: World) -> None:
    world.join(10, "13800138000")
    world.join(11, "13800138001")

    matches = await world.match("138-0013-8001", "13500135000", "+86 138 0013 8000", "13800138001", "13800138000")

    assert matches == [("138-0013-8001", 11), ("+86 138 0013 8000", 10)]


async def test_users_do_not_find_themselves(world: World) -> None:
    world.join(CALLER, OWN)

    assert await world.match("139 0013 9000") == []
    assert world.charged == []


async def test_users_do_not_find_themselves_under_a_former_number(world: World) -> None:
    world.join(CALLER, "13800138000")

    assert await world.match("13800138000") == []


async def test_entries_that_are_not_phone_numbers_are_skipped(world: World) -> None:
    world.join(10, "13800138000")

    assert await world.match(None, 13800138000, "mother", {}, "13800138000", "010-1234567") == [("13800138000", 10)]
    assert len(world.charged) == 1


async def test_only_candidates_of_the_filter_are_looked_up(world: World) -> None:
    world.join(10, "13800138000")

    await world.match("13800138000", "13500135000")

    assert world.lookups == [[KEYS.ref(E164("+8613800138000"))]]


async def test_a_match_without_a_candidate_looks_nothing_up_and_is_published(world: World) -> None:
    assert await world.match("13500135000") == []
    assert (world.lookups, len(world.sent)) == ([[]], 1)


async def test_a_false_positive_of_the_filter_is_dropped(world: World) -> None:
    world.ref_filter.add([KEYS.ref(E164("+8613500135000"))])

    assert await world.match("13500135000") == []


async def test_a_list_that_is_too_long_is_refused_and_costs_a_call(world: World) -> None:
    with pytest.raises(ServiceError) as refusal:
        await world.match(*["13800138000"] * (MAX_NUMBERS + 1))

    assert refusal.value.code is ErrorCode.TOO_MANY_CONTACTS
    assert (world.charged, world.calls) == ([], 1)
    assert await world.match(*["13800138000"] * MAX_NUMBERS) == []


@pytest.mark.parametrize(
    "refusal",
    [
        ServiceError(ErrorCode.CONTACT_BUDGET, retry_after=9),
        ServiceError(ErrorCode.CALLER_LIMIT, retry_after=9),
        unavailable(),
    ],
)
async def test_no_member_is_shown_when_the_budget_refuses(world: World, refusal: ServiceError) -> None:
    world.join(10, "13800138000")
    world.refusal = refusal

    with pytest.raises(ServiceError) as raised:
        await world.match("13800138000")

    assert raised.value is refusal
    assert world.sent == []


async def begin(world: World, *phones: str) -> "asyncio.Task[list[tuple[str, int]]]":
    """Start a match whose budget does not answer yet, and let it get as far as it can."""
    world.paid.clear()
    matching = asyncio.create_task(world.match(*phones))
    for _ in range(20):
        await asyncio.sleep(0)
    return matching


async def test_the_look_up_begins_before_the_budget_has_answered(world: World) -> None:
    world.join(10, "13800138000")

    matching = await begin(world, "13800138000")

    assert (len(world.lookups), world.sent, matching.done()) == (1, [], False)
    world.paid.set()
    assert await matching == [("13800138000", 10)]
    assert len(world.sent) == 1


async def test_a_refusal_does_not_wait_for_the_look_up(world: World) -> None:
    world.join(10, "13800138000")
    world.refusal = ServiceError(ErrorCode.CONTACT_BUDGET, retry_after=9)
    world.released.clear()

    matching = await begin(world, "13800138000")
    world.paid.set()

    async with asyncio.timeout(10):
        with pytest.raises(ServiceError):
            await matching
    assert len(world.lookups) == 1
    world.released.set()


async def test_after_a_refusal_nothing_is_looked_up_before_a_call_is_paid_for(world: World) -> None:
    world.join(10, "13800138000")
    world.refusal = ServiceError(ErrorCode.CONTACT_BUDGET, retry_after=9)
    with pytest.raises(ServiceError):
        await world.match("13800138000")
    world.lookups.clear()

    matching = await begin(world, "13800138000")
    assert world.lookups == []

    world.refusal = None
    world.paid.set()
    assert await matching == [("13800138000", 10)]


async def test_of_matches_that_a_user_makes_at_once_one_looks_up_before_its_charge_is_paid(world: World) -> None:
    world.join(10, "13800138000")

    matching = [await begin(world, "13800138000") for _ in range(3)]
    assert len(world.lookups) == 1

    world.paid.set()
    assert await asyncio.gather(*matching) == [[("13800138000", 10)]] * 3


async def test_a_match_whose_event_could_not_wait_is_refused_before_it_is_charged(world: World) -> None:
    world.is_full = True

    with pytest.raises(ServiceError):
        await world.match("13800138000")

    assert (world.calls, world.lookups) == (0, [])


async def test_an_outage_of_the_look_up_is_an_outage_of_the_match_and_publishes_nothing(world: World) -> None:
    world.outage = unavailable()

    with pytest.raises(ServiceError) as raised:
        await world.match("13800138000")

    assert raised.value is world.outage
    assert world.sent == []


async def test_the_event_of_a_match_contains_counts_only(world: World) -> None:
    world.join(10, "13800138000")

    await world.match("13800138000", "13500135000", "mother", "13500135000")

    (message,) = world.sent
    event = json.loads(message.body)
    assert message.routing_key == event["type"] == "contacts.matched.v1"
    assert (event["subject"], event["version"]) == ("1", 1)
    assert event["data"] == {"user_id": "1", "submitted": 4, "charged": 2, "matched": 1}
