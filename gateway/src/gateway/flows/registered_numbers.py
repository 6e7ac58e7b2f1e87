"""Which numbers have an account, and from where they were proven; look-ups that come close together share one call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from shared.batching import Batcher
from shared.internal_api.auth import LOOK_UP, LookedUp, LookUp
from shared.internal_api.directory import LOOK_UP_ELSEWHERE, LookUpElsewhere
from shared.internal_api.endpoint import Address, Endpoint, WireModel
from shared.phone import E164

RequestT = TypeVar("RequestT", bound=WireModel)


class AuthService(Protocol):
    """The calls of auth-service that are needed here."""

    async def call(self, endpoint: Endpoint[RequestT, LookedUp], request: RequestT) -> LookedUp: ...


class RequestPlace(Protocol):
    """Where a caller's request came from."""

    @property
    def address(self) -> Address | None: ...
    @property
    def app(self) -> str: ...


class KnownNumbers(Protocol):
    """What is known of numbers without a question."""

    def may_contain(self, number: E164) -> bool:
        """Whether the number may have an account. False if it had none some seconds ago."""

    def add(self, number: E164) -> None:
        """Let the number be one that may have an account."""


class NoKnownNumbers:
    """Knows nothing, so every number is asked for."""

    def may_contain(self, number: E164) -> bool:  # noqa: ARG002  the protocol names it
        """Every number may have an account."""
        return True

    def add(self, number: E164) -> None:
        """Every number may have an account already."""


@dataclass(frozen=True)
class RegisteredNumber:
    """A number with an account, and the references of the networks from which it was proven."""

    known_networks: list[int] = field(repr=False)


@dataclass(frozen=True)
class FoundNumber:
    """What a look-up found of a number. ``is_elsewhere``: the look-up of that number alone decides."""

    registered: RegisteredNumber | None
    is_elsewhere: bool


class RegisteredNumbers:
    """The numbers that have an account.

    auth-service may know of another back end that has users of the app. It is asked for one number at a time, within
    the limits on the caller: no one waits for the answer about someone else's number.
    """

    def __init__(self, auth: AuthService, known: KnownNumbers | None = None) -> None:
        self._auth = auth
        self._known = known or NoKnownNumbers()
        self._batcher = Batcher(self._look_up)

    def may_contain(self, number: E164) -> bool:
        """Whether the number may have an account, as far as is known here. False if it had none some seconds ago."""
        return self._known.may_contain(number)

    def ask_from_now_on(self, number: E164) -> None:
        """Let a number that is active now be one that may have an account."""
        self._known.add(number)

    async def contains(self, number: E164, caller: RequestPlace) -> bool:
        """Whether the number has an account. Raises ``CALLER_LIMIT`` as ``find`` does."""
        return await self.find(number, caller) is not None

    async def find(self, number: E164, caller: RequestPlace) -> RegisteredNumber | None:
        """The number with what is known of it, or None if it has no account.

        Raises ``CALLER_LIMIT`` for a caller who had too many numbers looked up elsewhere.
        """
        found = await self._batcher(number)
        if not found.is_elsewhere:
            return found.registered
        request = LookUpElsewhere(phone=number, address=caller.address, app=caller.app)
        return _found(await self._auth.call(LOOK_UP_ELSEWHERE, request))[0].registered

    async def _look_up(self, numbers: Sequence[E164]) -> list[FoundNumber]:
        return _found(await self._auth.call(LOOK_UP, LookUp(phones=list(numbers))))


def _found(response: LookedUp) -> list[FoundNumber]:
    elsewhere = response.elsewhere or [False] * len(response.registered)
    return [
        FoundNumber(RegisteredNumber(networks) if registered else None, is_elsewhere)
        for registered, networks, is_elsewhere in zip(
            response.registered, response.known_networks, elsewhere, strict=True
        )
    ]
