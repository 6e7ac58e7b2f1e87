"""When a number may get a code: pure functions over its last 24 hours."""

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
"""Of those ten, how many one network can use up. The rest stays for the number's owner."""
NETWORK_FAILURES = 120
NETWORK_FAILURE_WINDOW = timedelta(hours=1)
"""Incorrect codes from one network, over all numbers. ``CALLER_WRONG_CODES_PER_NETWORK_HOUR`` changes their number."""
APP_FAILURES = 1_200
"""Incorrect codes by way of one app's servers, in the same window. ``CALLER_WRONG_CODES_PER_APP_HOUR`` changes it."""
SENDS_PER_WINDOW = 10
"""For one number over all dialects. A dialect may set a lower cap, not a higher one."""
TEST_SENDS_PER_WINDOW = 100
"""For one test number over all dialects. It costs nothing, but the cap stops a script that runs away."""


@dataclass(frozen=True)
class Verification:
    """The life of one code. The code is derived from these fields and a key, and stored nowhere."""

    verification_id: UUID
    code_key_id: int
    created_at: datetime
    expires_at: datetime
    tries: int = 0
    verified_at: datetime | None = None
    version: int = 0

    def is_live(self, now: datetime) -> bool:
        """Whether its code can be sent again and entered for the first time."""
        return self.verified_at is None and self.tries < TRIES_PER_CODE and now < self.expires_at


@dataclass(frozen=True)
class NumberState:
    """What decides about a number and a purpose, read at one moment of the database's clock.

    ``version`` is the number's. A decision is written only if the version has not changed since.
    """

    now: datetime
    version: int
    sends: tuple[datetime, ...]
    verification: Verification | None


def recent(times: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
    """The times of the last 24 hours, oldest first."""
    return tuple(sorted(time for time in times if time > now - WINDOW))


def refuse_cooldown(sends: Sequence[datetime], cooldown: int, now: datetime) -> None:
    """Raise ``ServiceError(COOLDOWN)`` within ``cooldown`` seconds of the last send."""
    if sends:
        left = max(sends) + timedelta(seconds=cooldown) - now
        if left > timedelta():
            raise ServiceError(ErrorCode.COOLDOWN, retry_after=_seconds(left))


def refuse_daily_cap(sends: Sequence[datetime], cap: int, now: datetime) -> None:
    """Raise ``ServiceError(DAILY_CAP)`` if the last 24 hours hold ``cap`` sends or more."""
    _refuse_full(sends, min(cap, SENDS_PER_WINDOW), now)


def refuse_test_cap(sends: Sequence[datetime], now: datetime) -> None:
    """As ``refuse_daily_cap``, with the cap of test numbers. They have no cooldown."""
    _refuse_full(sends, TEST_SENDS_PER_WINDOW, now)


def _refuse_full(sends: Sequence[datetime], cap: int, now: datetime) -> None:
    counted = recent(sends, now)
    if len(counted) >= cap:
        raise ServiceError(ErrorCode.DAILY_CAP, retry_after=_seconds(counted[-cap] + WINDOW - now))


def next_verification(state: NumberState, new_id: UUID, code_key_id: int) -> Verification:
    """The live verification, whose code is sent again, or a new one if there is none."""
    current = state.verification
    if current is not None and current.is_live(state.now):
        return replace(current, version=current.version + 1)
    return Verification(new_id, code_key_id, state.now, state.now + CODE_LIFETIME, version=1)


def _seconds(left: timedelta) -> int:
    return max(1, math.ceil(left.total_seconds()))
