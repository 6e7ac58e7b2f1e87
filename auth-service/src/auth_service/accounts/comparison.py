"""Compares the accounts with the copy of them that contacts-service keeps."""

from collections.abc import Sequence
from typing import Protocol

from shared.errors import unavailable
from shared.internal_api.directory import PAGE_USERS, ComparedUsers, CompareUsers, VersionedUser, digest_of


class UserRepository(Protocol):
    async def are_events_late(self) -> bool:
        """Whether events have waited in the outbox for long, so that every copy is late too."""

    async def page(self, first: int, up_to: int, size: int) -> Sequence[VersionedUser]:
        """The users from ``first`` to ``up_to``, by user id."""

    async def find(self, user_ids: Sequence[int]) -> Sequence[VersionedUser]:
        """The users of these ids that have an account, in any order."""


class UserComparison:
    """Answers what differs. It refuses while events are late: then a difference is no loss."""

    def __init__(self, users: UserRepository) -> None:
        self._users = users

    async def compare(self, request: CompareUsers) -> ComparedUsers:
        """Compare one range of users. Raises ``ServiceError(UNAVAILABLE)``, also while events are late."""
        await self._refuse_if_late()
        # One more than a page: a range with more users than the caller's page can hold is never equal to it.
        users = await self._users.page(request.first, request.up_to, PAGE_USERS + 1)
        if digest_of(found.user for found in users) == request.digest:
            return ComparedUsers(is_equal=True, up_to=request.up_to, users=[])
        page = users[:PAGE_USERS]
        last = page[-1].user.user_id if len(users) > PAGE_USERS else request.up_to
        return ComparedUsers(is_equal=False, up_to=last, users=list(page))

    async def find(self, user_ids: Sequence[int]) -> Sequence[VersionedUser]:
        """The users of these ids that have an account. Raises as ``compare`` does."""
        await self._refuse_if_late()
        return await self._users.find(user_ids)

    async def _refuse_if_late(self) -> None:
        if await self._users.are_events_late():
            raise unavailable()
