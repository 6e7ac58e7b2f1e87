"""The rate-limited password check: a failure is counted before each check, and refunded unless the password is wrong.

Of any number of attempts made at once, no more passwords are checked than the limit allows.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from auth_service.passwords.failure_limits import FailureLimits
from auth_service.passwords.hasher import PasswordHasher
from auth_service.passwords.model import Bucket, CountedFailure, StartedCheck, VerifiedPassword
from shared.errors import ErrorCode, ServiceError
from shared.networks import RequestSource
from shared.phone import E164


class LoginFailureRepository(Protocol):
    """The counters of failed log-ins."""

    async def start(self, phone: E164, buckets: Sequence[Bucket]) -> StartedCheck:
        """Count a failure in every bucket, unless one is full, and find the account of the number."""

    async def refund(self, counted: Sequence[CountedFailure]) -> None:
        """Subtract counted failures, now or later. Never raises ``UNAVAILABLE``."""


class RateLimitedCheck:
    """Checks passwords within the limits, if there are any: in development there may be none."""

    def __init__(
        self, repository: LoginFailureRepository, passwords: PasswordHasher, limits: FailureLimits | None
    ) -> None:
        self._repository = repository
        self._passwords = passwords
        self._limits = limits

    async def start(self, phone: E164, phone_ref: int, source: RequestSource) -> StartedCheck:
        """Count the attempt as a failure, and find the account of the number.

        Raises ``UNAVAILABLE`` when hashing is busy, before the database is asked: shedding load must cost little.
        """
        self._passwords.require_room()
        return await self._repository.start(phone, self._limits.buckets(phone_ref, source) if self._limits else ())

    async def verify(self, check: StartedCheck, secret: str) -> VerifiedPassword:
        """Compare the password. Raises ``CALLER_LIMIT``, ``CREDENTIALS_REFUSED``, ``UNAVAILABLE`` (hashing is busy).

        A number without an account is refused as a wrong password is, after the same work.
        """
        if check.retry_after:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=check.retry_after)
        account = check.account
        async with self.refund_on_error(check):
            result = await self._passwords.verify(account.password_hash if account else None, secret)
        if account is None or not result.matches:
            raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
        return VerifiedPassword(account, result.new_hash)

    async def refund(self, check: StartedCheck) -> None:
        """Subtract the failures that the check counted: the password was correct."""
        await self._repository.refund(check.counted)

    @asynccontextmanager
    async def refund_on_error(self, check: StartedCheck) -> AsyncIterator[None]:
        """Refund the check if the block raises a ``ServiceError``: that is not the fault of the password."""
        try:
            yield
        except ServiceError:
            await self.refund(check)
            raise
