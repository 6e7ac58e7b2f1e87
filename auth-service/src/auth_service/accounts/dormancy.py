"""Dormant accounts: not seen for so long that their number may belong to someone else by now.

Carriers give the number of a cancelled contract to the next customer after some months. A code proves who has the
number today, not who registered it, so for a dormant account a code alone proves nothing: its number counts as free,
and only its password or an operator lets its user in. A banned account is never dormant: waiting must not lift a ban.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol


class Seen(Protocol):
    """The user of a number."""

    @property
    def seen_at(self) -> datetime: ...
    @property
    def is_banned(self) -> bool: ...


class Dormancy:
    """The rule: an account is dormant ``after`` a time without a log-in or the use of a session. None: never."""

    def __init__(self, after: timedelta | None, clock: Callable[[], datetime]) -> None:
        self._after = after
        self._clock = clock

    def includes(self, user: Seen) -> bool:
        """Whether the account of this user is dormant."""
        return self._after is not None and not user.is_banned and self._clock() - user.seen_at >= self._after
