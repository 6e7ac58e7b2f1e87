"""A limit on how many requests leave this process in a second."""

import time
from collections.abc import Callable


class RequestRate:
    """Allows ``per_second`` requests at once, refilled evenly over a second."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / per_second
        self._clock = clock
        self._full_at = clock()
        """When all requests of a second are allowed again. Each one moves it by its share of the second."""

    def allows(self) -> bool:
        """Count one request. False, and not counted, beyond the limit."""
        now = self._clock()
        full_at = max(self._full_at, now) + self._interval
        if full_at > now + 1 + self._interval / 2:  # half a request for what the clock rounds
            return False
        self._full_at = full_at
        return True
