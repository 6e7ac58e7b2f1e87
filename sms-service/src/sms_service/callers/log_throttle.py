"""Say a thing at most once a minute for each who causes it, in bounded memory."""

import time
from collections.abc import Callable

SECONDS = 60.0
MOST = 10_000


class LogThrottle:
    """Who was spoken of within the last minute. When there are too many of them, the rest stay unspoken of."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._said: dict[str, float] = {}  # oldest first

    def allow(self, about: str) -> bool:
        """Whether it is the first time within a minute; it counts as said then."""
        now = self._clock()
        while self._said and next(iter(self._said.values())) <= now - SECONDS:
            del self._said[next(iter(self._said))]
        if about in self._said or len(self._said) >= self._most:
            return False
        self._said[about] = now
        return True
