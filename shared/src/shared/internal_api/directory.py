"""The internal API about users elsewhere: in the copies of other services, and in the back end of before."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints

from shared.internal_api.auth import LookedUp
from shared.internal_api.endpoint import Endpoint, Number, SourcedRequest, WireModel
from shared.internal_api.principals import Principal
from shared.phone import E164, PhoneKeys

PAGE_USERS = 500
"""The most users in one call: reading and digesting a page takes a few milliseconds of the event loop."""

MIN_USER_ID, MAX_USER_ID = -(2**63), 2**63 - 1
"""What a row can hold. The ids of accounts are positive, but a row may have been written by hand."""

DIGEST_BYTES = 16


class DirectoryUser(NamedTuple):
    """A user as the directory shows them. ``phone_ref`` is a signed 64-bit integer."""

    user_id: int
    phone_ref: int
    nickname: str
    avatar: str
    visible: bool


class VersionedUser(NamedTuple):
    """A user with the version of their account, and its last change in seconds since 1970."""

    user: DirectoryUser
    version: int
    changed_at: float


class CompareUsers(WireModel):
    """Compare the users from ``first`` to ``up_to``; ``digest`` is the caller's ``digest_of`` its copies."""

    first: int
    up_to: int
    digest: str


class ComparedUsers(WireModel):
    """If the digests differ, the first users of the range, at most ``PAGE_USERS``; the last is ``up_to``, or the range.

    If they are equal, ``up_to`` is the end of the range.
    """

    is_equal: bool
    up_to: int
    users: list[VersionedUser]


class FindUsers(WireModel):
    """Find the accounts of these user ids."""

    user_ids: list[int] = Field(max_length=PAGE_USERS)


class FoundUsers(WireModel):
    """The users that have an account. The others were erased, if they ever had one."""

    users: list[VersionedUser]


FilterKey = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$"), Field(repr=False)]
"""The key of one filter, which makes references that no other filter has."""

SLOT_BITS = 28
"""What a filter learns of each 64-bit reference: its first bits, which 26 mainland mobile numbers share."""


class ListNumbers(WireModel):
    """List the numbers that have an account, for a filter: those of the next users above ``after``."""

    key: FilterKey
    after: int


class ListedNumbers(WireModel):
    """A page of numbers, as ``slots_of`` them. The next begins after the user ``last``; None after the last page."""

    slots: list[int] = Field(repr=False)
    last: int | None


class ListGainedNumbers(WireModel):
    """List the numbers that accounts have got ``since`` a moment of the database's clock, or nothing yet."""

    key: FilterKey
    since: datetime | None


class GainedNumbers(WireModel):
    """The numbers that accounts have got until ``now``, as ``slots_of`` them.

    If it is not ``is_complete``, other numbers count as registered too: those of a user source, or more than are
    listed. ``restored_at`` is when a backup was restored, if one was. ``estimated`` is about how many accounts exist.
    """

    now: datetime
    slots: list[int] = Field(repr=False)
    is_complete: bool
    restored_at: datetime | None
    estimated: int


class LookUpElsewhere(SourcedRequest):
    """Find out whether a number has an account, also one in the back end that the app had before: then it moves in."""

    phone: Number = Field(repr=False)


COMPARE_USERS = Endpoint(
    "/v1/accounts/compare", CompareUsers, ComparedUsers, Principal.CONTACTS_SERVICE, repeatable=True
)
FIND_USERS = Endpoint("/v1/accounts/find-users", FindUsers, FoundUsers, Principal.CONTACTS_SERVICE, repeatable=True)
LOOK_UP_ELSEWHERE = Endpoint("/v1/accounts/look-up-elsewhere", LookUpElsewhere, LookedUp)
LIST_NUMBERS = Endpoint("/v1/accounts/list-numbers", ListNumbers, ListedNumbers, repeatable=True)
LIST_GAINED_NUMBERS = Endpoint("/v1/accounts/list-gained-numbers", ListGainedNumbers, GainedNumbers, repeatable=True)


def digest_of(users: Iterable[DirectoryUser]) -> str:
    """A digest of users in the order of their ids, equal for equal users. The texts contain no zero byte."""
    rows = "".join(
        f"{user_id}\0{ref}\0{name}\0{avatar}\0{visible:d}\0" for user_id, ref, name, avatar, visible in users
    )
    return blake2b(rows.encode(), digest_size=DIGEST_BYTES).hexdigest()


def slots_of(numbers: Iterable[E164], keys: PhoneKeys) -> list[int]:
    """What a filter learns of numbers: the first ``SLOT_BITS`` of their references, signed as these."""
    return [ref >> (64 - SLOT_BITS) for ref in keys.refs(numbers)]


def refs_of(slots: Iterable[int]) -> Iterator[int]:
    """References with these first bits, which a filter of at most ``2 ** SLOT_BITS`` slots cannot tell from theirs."""
    return (slot << (64 - SLOT_BITS) for slot in slots)
