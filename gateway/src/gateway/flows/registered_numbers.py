"""Which numbers have an account, and from where they were proven; look-ups that come close together share one call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.batching import Batcher
from shared.internal_api.auth import LOOK_UP, LookedUp, LookUp
from shared.internal_api.endpoint import Endpoint
from shared.phone import E164


class AuthService(Protocol):
    """The one call of auth-service that is needed here."""

    async def call(self, endpoint: Endpoint[LookUp, LookedUp], request: LookUp) -> LookedUp: ...


@dataclass(frozen=True)
class RegisteredNumber:
    """A number with an account, and the references of the networks from which it was proven."""

    known_networks: list[int] = field(repr=False)


class RegisteredNumbers:
    """The numbers that have an account."""

    def __init__(self, auth: AuthService) -> None:
        self._auth = auth
        self._batcher = Batcher(self._look_up)

    async def contains(self, number: E164) -> bool:
        """Whether the number has an account."""
        return await self.find(number) is not None

    async def find(self, number: E164) -> RegisteredNumber | None:
        """The number with what is known of it, or None if it has no account."""
        return await self._batcher(number)

    async def _look_up(self, numbers: Sequence[E164]) -> list[RegisteredNumber | None]:
        found = await self._auth.call(LOOK_UP, LookUp(phones=list(numbers)))
        return [
            RegisteredNumber(networks) if registered else None
            for registered, networks in zip(found.registered, found.known_networks, strict=True)
        ]
