"""The rule of finding friends, against memory."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from contacts_service.directory import RefFilter
from contacts_service.matching import Charge, Matcher, Member
from contacts_service.numbers import NumberReader
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events import OutboxMessage
from shared.internal_api.contacts import MAX_NUMBERS
from shared.phone import E164, PhoneKeys, parse

KEYS = PhoneKeys(b"k" * 32)
CALLER = 1
OWN = E164("+8613900139000")


@dataclass
class World:
    """Members, a budget and an outbox, all in memory."""

    members: dict[int, Member] = field(default_factory=dict)
    sieve: RefFilter = field(default_factory=RefFilter)
    charged: list[int] = field(default_factory=list)
    asked: list[list[int]] = field(default_factory=list)
    sent: list[OutboxMessage] = field(default_factory=list)
    refusal: ServiceError | None = None

    def join(self, user_id: int, number: str) -> None:
        ref = KEYS.ref(parse(number))
        self.members[ref] = Member(ref, user_id, f"name {user_id}", f"https://pictures/{user_id}")
        self.sieve.add([ref])

    async def charge(self, user_id: int, refs: Collection[int]) -> Charge:
        assert user_id == CALLER
        if self.refusal:
            raise self.refusal
        self.charged += refs
        return Charge(len(refs), 5000 - len(refs))

    async def find(self, refs: Sequence[int]) -> list[Member]:
        self.asked.append(list(refs))
        return [self.members[ref] for ref in sorted(refs) if ref in self.members]

    async def publish(self, messages: Sequence[OutboxMessage]) -> None:
        self.sent += messages

    async def match(self, *phones: Any) -> list[tuple[str, int]]:
        matcher = Matcher(NumberReader(KEYS), self, self.sieve, self, self.publish)
        matched = await matcher.match(CALLER, OWN, list(phones))
        return [(contact.phone, contact.user_id) for contact in matched.matches]


@pytest.fixture
def world() -> World:
    return World()


async def test_members_come_in_the_order_asked_each_once_as_spelled_first(world: World) -> None:
    world.join(10, "13800138000")
    world.join(11, "13800138001")

    found = await world.match("138-0013-8001", "13500135000", "+86 138 0013 8000", "13800138001", "13800138000")

    assert found == [("138-0013-8001", 11), ("+86 138 0013 8000", 10)]


async def test_the_caller_is_never_his_own_contact(world: World) -> None:
    world.join(CALLER, OWN)

    assert await world.match("139 0013 9000") == []
    assert world.charged == []


async def test_the_caller_is_not_found_under_a_number_he_gave_up(world: World) -> None:
    world.join(CALLER, "13800138000")

    assert await world.match("13800138000") == []


async def test_entries_that_are_no_number_are_skipped(world: World) -> None:
    world.join(10, "13800138000")

    assert await world.match(None, 13800138000, "mother", {}, "13800138000", "010-1234567") == [("13800138000", 10)]
    assert len(world.charged) == 1


async def test_only_what_passes_the_filter_is_looked_up(world: World) -> None:
    world.join(10, "13800138000")

    await world.match("13800138000", "13500135000")

    assert world.asked == [[KEYS.ref(E164("+8613800138000"))]]


async def test_with_no_hit_the_database_is_not_asked(world: World) -> None:
    assert await world.match("13500135000") == []
    assert world.asked == []


async def test_what_the_filter_lets_pass_by_mistake_is_dropped(world: World) -> None:
    world.sieve.add([KEYS.ref(E164("+8613500135000"))])

    assert await world.match("13500135000") == []


async def test_more_than_the_most_numbers_is_refused_before_anything_is_charged(world: World) -> None:
    with pytest.raises(ServiceError) as refusal:
        await world.match(*["13800138000"] * (MAX_NUMBERS + 1))

    assert refusal.value.code is ErrorCode.TOO_MANY_CONTACTS
    assert world.charged == []
    assert await world.match(*["13800138000"] * MAX_NUMBERS) == []


@pytest.mark.parametrize("refusal", [ServiceError(ErrorCode.CONTACT_BUDGET, retry_after=9), unavailable()])
async def test_nobody_is_shown_when_the_budget_says_no(world: World, refusal: ServiceError) -> None:
    world.join(10, "13800138000")
    world.refusal = refusal

    with pytest.raises(ServiceError) as raised:
        await world.match("13800138000")

    assert raised.value is refusal
    assert world.asked == []
    assert world.sent == []


async def test_a_match_is_told_in_counts_alone(world: World) -> None:
    world.join(10, "13800138000")

    await world.match("13800138000", "13500135000", "mother", "13500135000")

    (message,) = world.sent
    told = json.loads(message.body)
    assert message.routing_key == told["type"] == "contacts.matched.v1"
    assert (told["subject"], told["version"]) == ("1", 1)
    assert told["data"] == {"user_id": "1", "submitted": 4, "charged": 2, "matched": 1}
