"""The rule of finding friends: how many may be asked about, who is left out, who is shown."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from shared.errors import ErrorCode, ServiceError
from shared.events import ContactsMatched, Publish, new_event
from shared.internal_api.contacts import MAX_NUMBERS, Contact, Matched
from shared.phone import E164, split

SOURCE = "contacts-service"


class Member(NamedTuple):
    """A user whom others may find, by the reference of his number."""

    ref: int
    user_id: int
    nickname: str
    avatar: str


@dataclass(frozen=True)
class Charge:
    """What a call took from its user's budget of new numbers, and what is left of it."""

    taken: int
    left: int


class Numbers(Protocol):
    def ref(self, number: E164) -> int: ...

    async def read(self, entries: Sequence[Any], calling_code: str) -> dict[int, str]:
        """Each number's reference, in order, with its first spelling; ``calling_code`` is for national spellings."""


class Allowance(Protocol):
    async def charge(self, user_id: int, refs: Collection[int]) -> Charge:
        """Count numbers the user has not asked about before. Raises ``ServiceError(CONTACT_BUDGET)``."""


class Sieve(Protocol):
    def likely(self, refs: Iterable[int]) -> list[int]:
        """Those that may belong to a member, and few others."""


class Members(Protocol):
    async def find(self, refs: Sequence[int]) -> list[Member]:
        """Who is visible under these references, in any order."""


class Matcher:
    """Answers which numbers of an address book are members. Nothing of the book is kept."""

    def __init__(
        self, numbers: Numbers, allowance: Allowance, sieve: Sieve, members: Members, publish: Publish
    ) -> None:
        self._numbers = numbers
        self._allowance = allowance
        self._sieve = sieve
        self._members = members
        self._publish = publish

    async def match(self, user_id: int, own_phone: E164, phones: Sequence[Any]) -> Matched:
        """Members among ``phones``, in the order asked, each once, as spelled first; never the caller himself.

        Raises ``ServiceError``: ``TOO_MANY_CONTACTS``; ``CONTACT_BUDGET`` with ``retry_after``, and then nothing
        was charged; ``UNAVAILABLE``.
        """
        if len(phones) > MAX_NUMBERS:
            raise ServiceError(ErrorCode.TOO_MANY_CONTACTS)
        asked = await self._numbers.read(phones, split(own_phone)[0])
        asked.pop(self._numbers.ref(own_phone), None)
        charge = await self._allowance.charge(user_id, asked)
        matches = await self._confirm(user_id, asked)
        await self._tell(user_id, len(phones), charge, len(matches))
        return Matched(matches=matches, budget_left=charge.left)

    async def _confirm(self, user_id: int, asked: Mapping[int, str]) -> list[Contact]:
        likely = self._sieve.likely(asked)
        if not likely:
            return []
        members = {member.ref: member for member in await self._members.find(likely)}
        return [
            Contact(phone=asked[ref], user_id=member.user_id, nickname=member.nickname, avatar=member.avatar)
            for ref in likely
            if (member := members.get(ref)) is not None and member.user_id != user_id
        ]

    async def _tell(self, user_id: int, submitted: int, charge: Charge, matched: int) -> None:
        fact = ContactsMatched(user_id=str(user_id), submitted=submitted, charged=charge.taken, matched=matched)
        await self._publish([new_event(fact, source=SOURCE, subject=str(user_id), version=1)])
