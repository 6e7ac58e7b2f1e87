"""The rate-limited password check: a failure is counted before each check, and refunded unless the password is wrong.

Of any number of attempts made at once, no more passwords are checked than the limit allows.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from auth_service.passwords.hasher import PasswordHasher
from auth_service.passwords.login_limits import LoginLimits
from auth_service.passwords.model import Bucket, CountedFailure, RunningCheck, StartedCheck, VerifiedPassword
from auth_service.passwords.refusal_hold import HeldCheck, RefusalHold
from shared.errors import ErrorCode, ServiceError
from shared.networks import RequestSource
from shared.phone import E164


class LoginLimitRepository(Protocol):
    """The counters of log-ins."""

    async def start(self, phone: E164, buckets: Sequence[Bucket], known_network: int | None) -> StartedCheck:
        """Count a failure in every bucket, unless a narrow one is full, and find the account of the number."""

    async def refund(self, counted: Sequence[CountedFailure]) -> None:
        """Subtract counted failures, now or later. Never raises ``UNAVAILABLE``."""


class RateLimitedCheck:
    """Checks passwords within the limits, if there are any: in development there may be none."""

    def __init__(
        self,
        repository: LoginLimitRepository,
        passwords: PasswordHasher,
        limits: LoginLimits | None,
        hold: RefusalHold | None = None,
    ) -> None:
        self._repository = repository
        self._passwords = passwords
        self._limits = limits
        self._hold = hold or RefusalHold(0)

    @asynccontextmanager
    async def start(
        self, phone: E164, phone_ref: int, source: RequestSource, known_network: int | None = None
    ) -> AsyncIterator[RunningCheck]:
        """Take a slot for the block, count the attempt as a failure, and find the account of the number.

        ``known_network`` is the reference of the request's network, if it has one. Raises ``UNAVAILABLE`` when hashing
        is busy, before the database is asked: shedding load must cost little. A refusal in the block is held.
        """
        async with (
            self.holding() as held_check,
            self.start_within(held_check, phone, phone_ref, source, known_network) as check,
        ):
            yield check

    def holding(self) -> AbstractAsyncContextManager[HeldCheck]:
        """Hold what the block raises as a refusal, for a block that may start more than one check of a password."""
        return self._hold.holding()

    @asynccontextmanager
    async def start_within(
        self, held_check: HeldCheck, phone: E164, phone_ref: int, source: RequestSource, known_network: int | None
    ) -> AsyncIterator[RunningCheck]:
        """As ``start``, in a block that holds refusals until the first of its checks has been held for long enough."""
        async with self._passwords.slot(source, phone_ref) as slot:
            held_check.slot = held_check.slot or slot
            limits = self._limits
            buckets = limits.failure_buckets(phone_ref, source) if limits else ()
            started = await self._repository.start(phone, buckets, known_network)
            successes = limits.success_buckets(phone_ref, source, is_known=started.is_known) if limits else ()
            yield RunningCheck(started, slot, successes)

    async def verify(self, check: RunningCheck, secret: str, plain: str | None = None) -> VerifiedPassword:
        """Compare the password. Raises ``CALLER_LIMIT``, ``CREDENTIALS_REFUSED``, ``UNAVAILABLE`` (hashing is busy).

        ``plain`` is the plain text if the client sent it, which some imported hashes need.

        A number without an account is refused as a wrong password is, after the same work. While a wide bucket is full,
        every password but a correct one from a known network is refused alike.
        """
        started = check.started
        if started.retry_after:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=started.retry_after)
        account = started.account
        async with self.refund_on_error(check):
            password_hash = account.password_hash if account else None
            result = await self._passwords.verify(check.slot, password_hash, secret, plain)
        is_correct = account is not None and result.matches
        if started.known_only and not (is_correct and started.is_known):
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=started.known_only)
        if account is None or not is_correct:
            raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
        return VerifiedPassword(account, result.new_hash)

    async def refund(self, check: RunningCheck) -> None:
        """Subtract the failures that the check counted: the password was correct."""
        await self._repository.refund(check.started.counted)

    @asynccontextmanager
    async def refund_on_error(self, check: RunningCheck) -> AsyncIterator[None]:
        """Refund the check if the block raises a ``ServiceError``: that is not the fault of the password.

        ``CALLER_LIMIT`` stays counted: log-ins beyond the limit on correct ones soon cost no hashing.
        """
        try:
            yield
        except ServiceError as error:
            if error.code is not ErrorCode.CALLER_LIMIT:
                await self.refund(check)
            raise
