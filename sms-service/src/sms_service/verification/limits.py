"""What may be sent for a number and when again: pure functions over its last 24 hours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from shared.errors import ErrorCode, ServiceError
from sms_service.otp import CODE_LIFETIME

WINDOW = timedelta(hours=24)
TRIES_PER_CODE = 5
FAILURES_PER_WINDOW = 10
FAILURES_FROM_ONE_NETWORK = 5
"""Of those ten, from one network: a stranger cannot use up what the number's owner may get wrong elsewhere."""
NETWORK_FAILURES = 60
NETWORK_FAILURE_WINDOW = timedelta(hours=1)
"""Wrong tries from one network, at whatever numbers."""
SENDS_PER_WINDOW = 10
"""For one number over all dialects; a dialect may ask for fewer, never for more."""
TEST_SENDS_PER_WINDOW = 100
"""For a test number, whatever dialect: it costs nothing, but a script that has lost its way should be told."""


@dataclass(frozen=True)
class Verification:
    """One code's life: the code itself follows from these fields and a key, and is stored nowhere."""

    verification_id: UUID
    code_key_id: int
    created_at: datetime
    expires_at: datetime
    tries: int = 0
    verified_at: datetime | None = None
    version: int = 0

    def is_live(self, now: datetime) -> bool:
        """Whether its code can still be sent again and entered for the first time."""
        return self.verified_at is None and self.tries < TRIES_PER_CODE and now < self.expires_at


@dataclass(frozen=True)
class NumberState:
    """All that decides about a number and a purpose, read at one moment of the database's clock.

    ``version`` is the number's: whatever is decided here is written only if it has not changed since.
    """

    now: datetime
    version: int
    sends: tuple[datetime, ...]
    verification: Verification | None


def recent(stamps: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
    """Those of the rolling 24 hours, oldest first."""
    return tuple(sorted(stamp for stamp in stamps if stamp > now - WINDOW))


def refuse_cooling(sends: Sequence[datetime], cooldown: int, now: datetime) -> None:
    """Raise ``ServiceError(COOLDOWN)`` within ``cooldown`` seconds of the last send."""
    if sends:
        left = max(sends) + timedelta(seconds=cooldown) - now
        if left > timedelta():
            raise ServiceError(ErrorCode.COOLDOWN, retry_after=_seconds(left))


def refuse_capped(sends: Sequence[datetime], cap: int, now: datetime) -> None:
    """Raise ``ServiceError(DAILY_CAP)`` when ``cap`` sends lie in the last 24 hours; it frees as they leave."""
    _refuse_full(sends, min(cap, SENDS_PER_WINDOW), now)


def refuse_tested(sends: Sequence[datetime], now: datetime) -> None:
    """As ``refuse_capped``, for a test number: its own cap, and no cooldown beside it."""
    _refuse_full(sends, TEST_SENDS_PER_WINDOW, now)


def _refuse_full(sends: Sequence[datetime], cap: int, now: datetime) -> None:
    inside = recent(sends, now)
    if len(inside) >= cap:
        raise ServiceError(ErrorCode.DAILY_CAP, retry_after=_seconds(inside[-cap] + WINDOW - now))


def next_verification(state: NumberState, new_id: UUID, code_key_id: int) -> Verification:
    """The live verification, whose same code goes out again, or a new one when there is none."""
    current = state.verification
    if current is not None and current.is_live(state.now):
        return replace(current, version=current.version + 1)
    return Verification(new_id, code_key_id, state.now, state.now + CODE_LIFETIME, version=1)


def _seconds(left: timedelta) -> int:
    return max(1, math.ceil(left.total_seconds()))
