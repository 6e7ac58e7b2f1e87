"""At most one report a minute for each source, in bounded memory."""

import time
from collections.abc import Callable

WINDOW_SECONDS = 60.0
MAX_SOURCES = 10_000


class LogThrottle:
    """The sources reported within the last minute, at most ``max_sources``: beyond that, new ones are not reported."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, max_sources: int = MAX_SOURCES) -> None:
        self._clock = clock
        self._max_sources = max_sources
        self._reported: dict[str, float] = {}  # oldest first

    def allow(self, source: str) -> bool:
        """Whether a source may be reported now. If so, it may not again for a minute."""
        now = self._clock()
        while self._reported and next(iter(self._reported.values())) <= now - WINDOW_SECONDS:
            del self._reported[next(iter(self._reported))]
        if source in self._reported or len(self._reported) >= self._max_sources:
            return False
        self._reported[source] = now
        return True
