"""Matching an address book with the directory: the limits, and which members are shown."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import Counter

from shared.errors import ErrorCode, ServiceError
from shared.events.catalogue import ContactsMatched
from shared.events.envelope import OutboxMessage, new_event
from shared.internal_api.contacts import MAX_NUMBERS, Contact, Matched
from shared.phone import E164, split

SOURCE = "contacts-service"
SUBMITTED = Counter("haoma_contacts_submitted_total", "Entries of the address books that were matched")
CHARGED = Counter("haoma_contacts_charged_total", "Numbers in them that were new for their user: the use of the budget")
MATCHED = Counter("haoma_contacts_matched_total", "Members that were found in them")

Member = tuple[int, str, str]
"""A user whom others may find: id, nickname and avatar. A list has hundreds, so it is no class."""


@dataclass(frozen=True)
class BudgetCharge:
    """How many new numbers a call was charged for, and how many the user has left."""

    charged: int
    left: int


class AddressBookReader(Protocol):
    def ref(self, number: E164) -> int: ...

    async def read(self, entries: Sequence[Any], calling_code: str) -> dict[int, str]:
        """The references of the numbers in a list, in its order, each with the first entry that spells it.

        ``calling_code`` is the country of entries in national spelling.
        """


class ContactBudget(Protocol):
    async def charge(self, own_ref: int, refs: Collection[int]) -> BudgetCharge:
        """Count a call, and the numbers that are new for the user. Raises ``CONTACT_BUDGET`` or ``CALLER_LIMIT``."""


class MemberFilter(Protocol):
    def candidates(self, refs: Iterable[int]) -> list[int]:
        """The references that may belong to a member, in their order: all of those that do, and few others."""


class MemberRepository(Protocol):
    async def find(self, refs: Sequence[int], *, user_id: int, event: OutboxMessage) -> Mapping[int, Member]:
        """The visible users with these references, by their references, without ``user_id``.

        Publishes the event in the same transaction, and how many were found in its field ``matched``.
        """


class Matcher:
    """Finds the members in an address book and stores nothing of the book."""

    def __init__(
        self,
        reader: AddressBookReader,
        budget: ContactBudget,
        members_filter: MemberFilter,
        members: MemberRepository,
    ) -> None:
        self._reader = reader
        self._budget = budget
        self._filter = members_filter
        self._members = members

    async def match(self, user_id: int, own_phone: E164, phones: Sequence[Any]) -> Matched:
        """The members among ``phones``, in the list's order, each once, with the spelling that comes first.

        Users do not find themselves. The budget belongs to the user's number, so it outlives the account. Raises
        ``ServiceError``: ``TOO_MANY_CONTACTS``; ``CALLER_LIMIT`` and ``CONTACT_BUDGET`` with ``retry_after``;
        ``UNAVAILABLE``. Each refused call counts as a call.
        """
        own_ref = self._reader.ref(own_phone)
        if len(phones) > MAX_NUMBERS:
            await self._budget.charge(own_ref, ())
            raise ServiceError(ErrorCode.TOO_MANY_CONTACTS)
        spellings = await self._reader.read(phones, split(own_phone)[0])
        spellings.pop(own_ref, None)
        charge = await self._budget.charge(own_ref, spellings)
        counts = ContactsMatched(user_id=str(user_id), submitted=len(phones), charged=charge.charged, matched=0)
        matches = await self._find(spellings, user_id, counts)
        SUBMITTED.inc(len(phones))
        CHARGED.inc(charge.charged)
        MATCHED.inc(len(matches))
        return Matched.model_construct(matches=matches, budget_left=charge.left)

    async def _find(self, spellings: Mapping[int, str], user_id: int, counts: ContactsMatched) -> list[Contact]:
        event = new_event(counts, source=SOURCE, subject=counts.user_id, version=1)
        candidates = self._filter.candidates(spellings)
        members = await self._members.find(candidates, user_id=user_id, event=event)
        return [
            {"phone": spellings[ref], "user_id": found, "nickname": nickname, "avatar": avatar}
            for ref in filter(members.__contains__, candidates)
            for found, nickname, avatar in (members[ref],)
        ]
