"""Whether numbers have an account; lookups that come close together share one call to auth-service."""

from collections.abc import Sequence
from typing import Protocol

from shared.batching import Batcher
from shared.internal_api.auth import LOOK_UP, LookedUp, LookUp
from shared.internal_api.endpoint import Endpoint
from shared.phone import E164


class AuthService(Protocol):
    """The one call of auth-service that is needed here."""

    async def call(self, endpoint: Endpoint[LookUp, LookedUp], request: LookUp) -> LookedUp: ...


class RegisteredNumbers:
    """The numbers that have an account."""

    def __init__(self, auth: AuthService) -> None:
        self._auth = auth
        self._batcher = Batcher(self._look_up)

    async def contains(self, number: E164) -> bool:
        return await self._batcher(number)

    async def _look_up(self, numbers: Sequence[E164]) -> list[bool]:
        return (await self._auth.call(LOOK_UP, LookUp(phones=list(numbers)))).registered
