"""Measures how long the slow digests of a file take, and whether refusals are held for that long."""

import math
import time
from collections.abc import Callable

from auth_service.digests.model import PresentedPassword, Recipe
from auth_service.importing.refusals import LineRefusedError, Reason

MARGIN = 1.5
"""How much longer than on a quiet machine a comparison may take before it shows."""
STEP_SECONDS = 0.05
RUNS = 3
PROBE = PresentedPassword.from_plain("a password that takes the usual time")


class RefusalTimes:
    """What each kind of slow digest needs of ``PASSWORD_REFUSAL_SECONDS``, measured once in this process."""

    def __init__(
        self, refusal_seconds: float, hash_seconds: float, clock: Callable[[], float] = time.thread_time
    ) -> None:
        """``refusal_seconds`` is the setting, and ``hash_seconds`` how long our own hash takes on a quiet machine.

        ``clock`` counts CPU time, because other work on the machine would make each digest look slow.
        """
        self._refusal_seconds = refusal_seconds
        self._hash_seconds = hash_seconds
        self._clock = clock
        self._needed: dict[str, float] = {}

    def require(self, recipe: Recipe) -> None:
        """Raises ``LineRefusedError``, with the seconds that the setting needs, if it has less."""
        if recipe.cost and (needed := self._needed_for(recipe)) > self._refusal_seconds:
            raise LineRefusedError(Reason.PASSWORD_TOO_SLOW, f"PASSWORD_REFUSAL_SECONDS={needed:.2f}")

    def _needed_for(self, recipe: Recipe) -> float:
        if recipe.cost not in self._needed:
            fastest = min(self._measure(recipe) for _ in range(RUNS))
            self._needed[recipe.cost] = _rounded_up(MARGIN * (fastest + self._hash_seconds))
        return self._needed[recipe.cost]

    def _measure(self, recipe: Recipe) -> float:
        started = self._clock()
        recipe.compute(PROBE)
        return self._clock() - started


def _rounded_up(seconds: float) -> float:
    return round(math.ceil(round(seconds / STEP_SECONDS, 6)) * STEP_SECONDS, 2)
