"""A circuit breaker: a server that fails again and again gets no calls for a while, and then one at a time."""

import time
from collections.abc import Callable

FAILURES = 5
"""The number of failures in a row that opens the breaker."""
OPEN_SECONDS = 10.0
"""How long no call is made. Then one is; while it runs, and if it fails, none is for as long again."""


class CircuitBreaker:
    """Closed at first. ``clock`` counts in seconds."""

    def __init__(
        self,
        failures: int = FAILURES,
        open_seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_failures = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server failed so often, and no call has succeeded since."""
        return self._open_until is not None

    def seconds_to_wait(self) -> float:
        """0 for a caller that may make a call now, and how long the others wait. The first one after that tries."""
        if self._open_until is None:
            return 0.0
        now = self._clock()
        if now < self._open_until:
            return self._open_until - now
        self._open_until = now + self._open_seconds
        return 0.0

    def record_success(self) -> None:
        """Close the breaker."""
        self._failures, self._open_until = 0, None

    def record_failure(self) -> None:
        """Count a failure. The last of several in a row opens the breaker, or leaves it open."""
        self._failures += 1
        if self._failures >= self._max_failures:
            self._open_until = self._clock() + self._open_seconds
