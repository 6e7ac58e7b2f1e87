"""The callers who were refused for their limit some time ago.

A refusal charges nothing, so it can be repeated. It must take the same way for every number, or its time would tell
which numbers have an account.
"""

import time
from collections.abc import Callable

from shared.networks import RequestSource

MIN_SECONDS = 60.0
"""How long a refused caller is remembered at least."""
MAX_CALLERS = 10_000
"""The oldest of more callers are forgotten."""


class RefusedCallers:
    """Callers by what limits count them on: the user, or the site of the address. ``monotonic`` counts seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until: dict[str, float] = {}

    def add(self, source: RequestSource, retry_after: int | None) -> None:
        """Remember a caller who may try again after so many seconds."""
        until = self._monotonic() + max(retry_after or 0, MIN_SECONDS)
        before = self._until.pop(source.place, 0.0)
        if len(self._until) >= MAX_CALLERS:
            del self._until[next(iter(self._until))]
        self._until[source.place] = max(until, before)

    def __contains__(self, source: RequestSource) -> bool:
        until = self._until.get(source.place)
        if until is not None and self._monotonic() >= until:
            del self._until[source.place]
            return False
        return until is not None
