"""The accounts, as auth-service answers about them."""

from collections.abc import Sequence

from shared.internal_api.client import InternalClient
from shared.internal_api.directory import (
    COMPARE_USERS,
    FIND_USERS,
    ComparedUsers,
    CompareUsers,
    FindUsers,
    VersionedUser,
)


class AuthAccounts:
    """``reconciler.AccountSource`` over the internal API of auth-service."""

    def __init__(self, auth: InternalClient) -> None:
        self._auth = auth

    async def compare(self, request: CompareUsers) -> ComparedUsers:
        """Compare a range. Raises ``ServiceError(UNAVAILABLE)``, also while events are late."""
        return await self._auth.call(COMPARE_USERS, request)

    async def find(self, user_ids: Sequence[int]) -> Sequence[VersionedUser]:
        """The users of these ids that have an account. Raises as ``compare`` does."""
        return (await self._auth.call(FIND_USERS, FindUsers(user_ids=list(user_ids)))).users
