"""Sessions this gateway has seen, for a few seconds: a revoked one must die everywhere within five."""

import hashlib
import itertools
import time
from collections.abc import Callable
from typing import NamedTuple

from cachetools import TTLCache

from shared.internal_api.auth import LoggedIn, Resolved

SECONDS = 4.0
MOST = 20_000


class Mark(NamedTuple):
    """A moment: by order, and by the clock in seconds."""

    turn: int
    at: float


class SessionCache:
    """Resolved sessions by the hash of their token.

    Forgetting a user takes a note, not a search: what was remembered before the note is not believed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: TTLCache[bytes, tuple[Mark, Resolved]] = TTLCache(MOST, SECONDS, timer=clock)
        self._forgotten: TTLCache[int, int] = TTLCache(MOST, 2 * SECONDS, timer=clock)
        self._turns = itertools.count()

    def get(self, token: str) -> Resolved | None:
        """The session, if it was resolved within the last seconds."""
        mark, session = self._seen.get(_key(token), (None, None))
        if mark is None or session is None or self._clock() - mark.at >= SECONDS:
            return None
        return session if mark.turn > self._forgotten.get(session.account.user_id, -1) else None

    def mark(self) -> Mark:
        """To be taken before auth-service is asked: what it answers is believed from then on, not from its answer."""
        return Mark(next(self._turns), self._clock())

    def put(self, token: str, session: Resolved, mark: Mark) -> None:
        """Remember a session that auth-service vouched for when it was asked after ``mark``."""
        if self._clock() - mark.at < SECONDS:
            self._seen[_key(token)] = (mark, session)

    def remember(self, opened: LoggedIn) -> None:
        """Remember a session that was just opened, after forgetting the user's others: they may have ended."""
        self.forget_user(opened.account.user_id)
        self.put(opened.token, Resolved(session_id=opened.session_id, account=opened.account), self.mark())

    def forget_user(self, user_id: int) -> None:
        """Ask auth-service again about every session of this user."""
        self._forgotten[user_id] = next(self._turns)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
