"""The internal API about users elsewhere: in the directory of contacts-service, and in the back end of before."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from pydantic import Field

from shared.internal_api.auth import LookedUp
from shared.internal_api.endpoint import Endpoint, Number, SourcedRequest, WireModel
from shared.internal_api.principals import Principal

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


class LookUpElsewhere(SourcedRequest):
    """Find out whether a number has an account, also one in the back end that the app had before: then it moves in."""

    phone: Number = Field(repr=False)


COMPARE_USERS = Endpoint(
    "/v1/accounts/compare", CompareUsers, ComparedUsers, Principal.CONTACTS_SERVICE, repeatable=True
)
FIND_USERS = Endpoint("/v1/accounts/find-users", FindUsers, FoundUsers, Principal.CONTACTS_SERVICE, repeatable=True)
LOOK_UP_ELSEWHERE = Endpoint("/v1/accounts/look-up-elsewhere", LookUpElsewhere, LookedUp)


def digest_of(users: Iterable[DirectoryUser]) -> str:
    """A digest of users in the order of their ids, equal for equal users. The texts contain no zero byte."""
    rows = "".join(
        f"{user_id}\0{ref}\0{name}\0{avatar}\0{visible:d}\0" for user_id, ref, name, avatar, visible in users
    )
    return blake2b(rows.encode(), digest_size=DIGEST_BYTES).hexdigest()
