"""A circuit breaker: a server that fails again and again gets no calls for a while, and then one at a time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CircuitBreaker:
    """Closed at first; open after ``failures`` in a row.

    For ``open_seconds`` no call is made. Then one is; while it runs, and if it fails, none is for as long again.
    ``clock`` counts in seconds.
    """

    def __init__(self, failures: int, open_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_failures = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server failed so often, and no call has succeeded since."""
        return self._open_until is not None

    @property
    def seconds_left(self) -> float:
        """How long no call is made; 0 if one may be made now."""
        return 0.0 if self._open_until is None else max(self._open_until - self._clock(), 0.0)

    def seconds_to_wait(self) -> float:
        """0 for a caller that may make a call now, and how long the others wait.

        While the breaker is open, 0 goes to one caller when its time is over: that one tries.
        """
        seconds = self.seconds_left
        if self._open_until is not None and not seconds:
            self._open_until = self._clock() + self._open_seconds
        return seconds

    @contextmanager
    def call(self) -> Iterator[None]:
        """The block in which a caller makes its call. If the one that tries is cancelled, the next caller tries."""
        is_try = self.is_open
        try:
            yield
        except asyncio.CancelledError:
            if is_try and self.is_open:
                self._open_until = self._clock()
            raise

    def record_success(self) -> None:
        """Close the breaker."""
        self._failures, self._open_until = 0, None

    def record_failure(self) -> None:
        """Count a failure. The last of several in a row opens the breaker, or leaves it open."""
        self._failures += 1
        if self._failures >= self._max_failures:
            self._open_until = self._clock() + self._open_seconds
