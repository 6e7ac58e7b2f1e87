"""A password tried within the limits: charged before it is looked at, and only a wrong one stays charged."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from auth_service.accounts.model import Bucket, CountedFailure, StartedCheck, StoredAccount
from auth_service.passwords import failure_limits
from auth_service.passwords.hasher import PasswordHasher
from shared.errors import ErrorCode, ServiceError
from shared.phone import E164


class LoginFailureRepository(Protocol):
    """Where failed log-ins are counted."""

    async def begin(self, phone: E164, buckets: Sequence[Bucket]) -> StartedCheck:
        """Charge every bucket, unless one is full, and find the account of the number."""

    async def refund(self, charges: Sequence[CountedFailure]) -> None:
        """Give charges back; what cannot be given back now is owed. Never raises ``UNAVAILABLE``."""


@dataclass(frozen=True, slots=True)
class VerifiedPassword:
    """The account whose password was right; ``new_hash`` is a new verifier of it where the old one is out of date."""

    held: StoredAccount
    new_hash: str | None = field(default=None, repr=False)


class RateLimitedCheck:
    """The rules of trying a password. ``limited`` is off in development only."""

    def __init__(self, repository: LoginFailureRepository, passwords: PasswordHasher, *, limited: bool = True) -> None:
        self._repository = repository
        self._passwords = passwords
        self._limited = limited

    async def begin(self, phone: E164, phone_ref: int, network: str) -> StartedCheck:
        """Charge the try to its counters, and find the account of the number."""
        return await self._repository.begin(phone, failure_limits.buckets(phone_ref, network) if self._limited else ())

    async def judge(self, begun: StartedCheck, secret: str) -> VerifiedPassword:
        """Check the password. Raises ``CALLER_LIMIT``, ``CREDENTIALS_REFUSED``, ``UNAVAILABLE`` (shed).

        A number without an account gets the answer of a wrong password, for the same work.
        """
        if begun.wait:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=begun.wait)
        held = begun.held
        async with self.refund_on_error(begun):
            check = await self._passwords.verify(held.password_hash if held else None, secret)
        if held is None or not check.matches:
            raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
        return VerifiedPassword(held, check.new_hash)

    async def refund(self, begun: StartedCheck) -> None:
        """Give the charges back: the password was right."""
        await self._repository.refund(begun.charges)

    @asynccontextmanager
    async def refund_on_error(self, begun: StartedCheck) -> AsyncIterator[None]:
        """What fails in here is no fault of the password: the charges are given back."""
        try:
            yield
        except ServiceError:
            await self.refund(begun)
            raise
