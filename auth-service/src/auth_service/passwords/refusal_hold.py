"""Holds refused passwords until a fixed time, so that the slow digests of imported accounts do not show.

A wrong password of an account whose bcrypt digest was imported takes bcrypt and argon2id to refuse, one of any other
account or of none takes argon2id alone. With the hold all of them are refused ``seconds`` after their hashing began. A
caller that is held has no hashing slot any more, so waiting costs no one else anything. Right passwords are not held.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import Counter

from auth_service.passwords.hashing_slots import HashingSlot
from shared.errors import ErrorCode, ServiceError

HELD = frozenset({ErrorCode.CREDENTIALS_REFUSED, ErrorCode.CALLER_LIMIT})
"""What follows from a comparison that failed, or may hide that it did."""

LATE = Counter(
    "haoma_password_refusals_late_total", "Refused passwords whose comparison took longer than PASSWORD_REFUSAL_SECONDS"
)


@dataclass
class HeldCheck:
    """A check whose refusal is held. ``slot`` is the first one that it hashes with, once it has one."""

    slot: HashingSlot | None = None


class RefusalHold:
    """The hold. With 0 ``seconds`` there is none."""

    def __init__(self, seconds: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._seconds = seconds
        self._sleep = sleep

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[HeldCheck]:
        """Hold what the block raises as a refusal of a password, if a password was compared."""
        check = HeldCheck()
        try:
            yield check
        except ServiceError as refusal:
            if refusal.code in HELD and self._seconds and check.slot and check.slot.hashing_since is not None:
                await self._wait_until(check.slot.hashing_since + self._seconds)
            raise

    async def _wait_until(self, moment: float) -> None:
        left = moment - asyncio.get_running_loop().time()
        if left < 0:
            LATE.inc()
        else:
            await self._sleep(left)
