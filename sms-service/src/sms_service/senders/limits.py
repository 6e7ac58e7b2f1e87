"""How many messages a sender may be given for one number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class SenderLimits:
    """Messages to one number in rolling windows of a minute, an hour and a day; None is no limit."""

    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None

    def allow(self, ages: Sequence[timedelta]) -> bool:
        """Whether every window has room for one more message, after earlier messages of these ages."""
        windows = ((self.per_minute, 60), (self.per_hour, 3600), (self.per_day, 86_400))
        return all(
            limit is None or sum(age < timedelta(seconds=seconds) for age in ages) < limit for limit, seconds in windows
        )
