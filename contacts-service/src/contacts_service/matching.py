"""Matching an address book with the directory: the limits, and which members are shown."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
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

MAX_REFUSED = 10_000
"""How many users who were refused are remembered, so that they are charged before anything is looked up."""

Member = tuple[int, str, str]
"""A user whom others may find: id, nickname and avatar. A list has hundreds, so it is no class."""


@dataclass(frozen=True)
class BudgetCharge:
    """How many new numbers a call was charged for, and how many the user has left."""

    charged: int
    left: int


class AddressBookReader(Protocol):
    def ref(self, number: E164) -> int: ...

    async def read(self, entries: Sequence[Any], calling_code: str) -> tuple[list[int], Sequence[str]]:
        """The references of the numbers in a list, in its order, and beside them the entries that spell them.

        ``calling_code`` is the country of entries in national spelling.
        """


class ContactBudget(Protocol):
    async def charge(self, own_ref: int, refs: Collection[int]) -> BudgetCharge:
        """Count a call, and the numbers that are new for the user, each once.

        Raises ``CONTACT_BUDGET`` or ``CALLER_LIMIT``.
        """


class MemberFilter(Protocol):
    def positions(self, refs: Sequence[int]) -> Sequence[int]:
        """Where in the list the references are that may belong to a member: all of those that do, and few others."""


class MemberRepository(Protocol):
    async def find(self, refs: Sequence[int], *, user_id: int) -> Mapping[int, Member]:
        """The visible users with these references, by their references, without ``user_id``."""


class EventCollector(Protocol):
    def refuse_full(self) -> None:
        """Raise ``UNAVAILABLE`` while too many events wait."""

    def add(self, event: OutboxMessage) -> None:
        """Publish the event soon. Raises ``UNAVAILABLE`` as ``refuse_full`` does."""


class Matcher:
    """Finds the members in an address book and stores nothing of the book."""

    def __init__(
        self,
        reader: AddressBookReader,
        budget: ContactBudget,
        members_filter: MemberFilter,
        members: MemberRepository,
        events: EventCollector,
    ) -> None:
        self._reader = reader
        self._budget = budget
        self._filter = members_filter
        self._members = members
        self._events = events
        self._refused: dict[int, None] = {}
        self._unpaid: set[int] = set()  # users with a look-up whose charge may not have succeeded yet
        self._in_vain: set[asyncio.Task[Any]] = set()

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
        refs, entries = await self._reader.read(phones, split(own_phone)[0])
        if own_ref in refs:
            entries = [entry for ref, entry in zip(refs, entries, strict=True) if ref != own_ref]
            refs = [ref for ref in refs if ref != own_ref]
        self._events.refuse_full()
        charge, matches = await self._charge_and_find(own_ref, user_id, refs, entries)
        counts = ContactsMatched(
            user_id=str(user_id), submitted=len(phones), charged=charge.charged, matched=len(matches)
        )
        self._events.add(new_event(counts, source=SOURCE, subject=counts.user_id, version=1))
        SUBMITTED.inc(len(phones))
        CHARGED.inc(charge.charged)
        MATCHED.inc(len(matches))
        return Matched.model_construct(matches=matches, budget_left=charge.left)

    async def _charge_and_find(
        self, own_ref: int, user_id: int, refs: Sequence[int], entries: Sequence[str]
    ) -> tuple[BudgetCharge, list[Contact]]:
        """Look the numbers up while the budget is charged. What is found is returned only if the charge succeeded.

        A refusal does not wait for what is found, or its time would tell something of it. After a refusal the user is
        charged first, until a call is paid for, so that refused calls cost PostgreSQL nothing. Of calls that a user
        makes at once, one looks up beside its charge.
        """
        charging = asyncio.create_task(self._charge(own_ref, refs))
        await asyncio.sleep(0)  # the charge is on its way before the filter takes its time
        if own_ref in self._refused or own_ref in self._unpaid or charging.done():
            return await charging, await self._find(user_id, refs, entries)
        self._unpaid.add(own_ref)
        finding = asyncio.create_task(self._find(user_id, refs, entries))
        try:
            return await charging, await finding
        except Exception:
            self._abandon(finding)
            raise
        except asyncio.CancelledError:
            finding.cancel()
            raise
        finally:
            self._unpaid.discard(own_ref)

    async def _charge(self, own_ref: int, refs: Sequence[int]) -> BudgetCharge:
        try:
            charge = await self._budget.charge(own_ref, refs)
        except ServiceError:
            while len(self._refused) >= MAX_REFUSED:
                del self._refused[next(iter(self._refused))]
            self._refused[own_ref] = None
            raise
        self._refused.pop(own_ref, None)
        return charge

    def _abandon(self, finding: "asyncio.Task[list[Contact]]") -> None:
        """Let a look-up end by itself: to interrupt its statement would cost the connection."""
        self._in_vain.add(finding)
        finding.add_done_callback(self._forget)

    def _forget(self, finding: "asyncio.Task[list[Contact]]") -> None:
        self._in_vain.discard(finding)
        error = None if finding.cancelled() else finding.exception()
        if error is not None and not isinstance(error, ServiceError):
            raise error  # the call has its answer; the loop logs this

    async def _find(self, user_id: int, refs: Sequence[int], entries: Sequence[str]) -> list[Contact]:
        spellings: dict[int, str] = {}
        for at in self._filter.positions(refs):
            spellings.setdefault(refs[at], entries[at])
        members = await self._members.find(list(spellings), user_id=user_id)
        return [
            {"phone": spelling, "user_id": found, "nickname": nickname, "avatar": avatar}
            for ref, spelling in spellings.items()
            if ref in members
            for found, nickname, avatar in (members[ref],)
        ]
