"""Answers whether a number has an account here or in the user source, within the limits on callers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from auth_service.passwords.login_limits import LoginLimits
from auth_service.passwords.rate_limited_check import LoginLimitRepository
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LookedUp
from shared.internal_api.directory import LookUpElsewhere
from shared.phone import E164


class AnyUserSource(Protocol):
    async def has_account(self, phone: E164) -> bool:
        """Whether the number has an account here, also if its user moved in just now."""


LookUpHere = Callable[[Sequence[str]], Awaitable[LookedUp]]


class LookUpInSource:
    """The rules. An answer takes ``seconds`` at least, so that its time need not tell who is here already."""

    def __init__(
        self,
        user_source: AnyUserSource,
        counters: LoginLimitRepository,
        limits: LoginLimits | None,
        *,
        look_up_here: LookUpHere,
        seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._user_source = user_source
        self._counters = counters
        self._limits = limits
        self._look_up_here = look_up_here
        self._seconds = seconds
        self._sleep = sleep

    async def look_up(self, request: LookUpElsewhere) -> LookedUp:
        """Look one number up. Raises ``CALLER_LIMIT``, and ``UNAVAILABLE`` if the user source cannot tell.

        Every call counts, whether the number is here or is known to be absent: the limit tells nothing about it.
        """
        ends_at = asyncio.get_running_loop().time() + self._seconds
        phone = E164(request.phone)
        buckets = self._limits.look_up_buckets(request.source) if self._limits else ()
        started = await self._counters.start(phone, buckets, None)
        if started.retry_after:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=started.retry_after)
        if started.account is None:
            await self._user_source.has_account(phone)
        found = await self._look_up_here([phone])
        await self._sleep(max(0.0, ends_at - asyncio.get_running_loop().time()))
        return found
