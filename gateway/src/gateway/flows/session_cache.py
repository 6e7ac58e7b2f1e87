"""Resolved sessions, cached for a few seconds: a session that ends must stop working at every gateway within five."""

import hashlib
import itertools
import time
from collections.abc import Callable
from typing import NamedTuple

from cachetools import TTLCache

from shared.internal_api.auth import LoggedIn, Resolved

LIFETIME_SECONDS = 4.0
MAX_SESSIONS = 20_000


class Mark(NamedTuple):
    """A moment: its place in the order of all marks, and its time in seconds."""

    position: int
    at: float


class SessionCache:
    """Resolved sessions by the hash of their token.

    To forget a user takes constant time: it only sets a mark, and entries with an earlier mark are ignored.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: TTLCache[bytes, tuple[Mark, Resolved]] = TTLCache(MAX_SESSIONS, LIFETIME_SECONDS, timer=clock)
        self._forgotten: TTLCache[int, int] = TTLCache(MAX_SESSIONS, 2 * LIFETIME_SECONDS, timer=clock)
        self._positions = itertools.count()

    def get(self, token: str) -> Resolved | None:
        """The session, if it was resolved within the last four seconds and its user was not forgotten since."""
        try:
            mark, session = self._sessions[_key(token)]  # half the cost of get()
        except KeyError:
            return None
        if self._clock() - mark.at >= LIFETIME_SECONDS:
            return None
        return session if mark.position > self._forgotten.get(session.account.user_id, -1) else None

    def mark(self) -> Mark:
        """The current moment. Take it before the call to auth-service: the response is no newer than that."""
        return Mark(next(self._positions), self._clock())

    def put(self, token: str, session: Resolved, mark: Mark) -> None:
        """Cache a session that auth-service resolved in a call made after ``mark``."""
        if self._clock() - mark.at < LIFETIME_SECONDS:
            self._sessions[_key(token)] = (mark, session)

    def remember(self, logged_in: LoggedIn) -> None:
        """Cache a session that was just opened, and forget the user's other sessions, which may have ended."""
        self.forget_user(logged_in.account.user_id)
        resolved = Resolved(session_id=logged_in.session_id, account=logged_in.account)
        self.put(logged_in.token, resolved, self.mark())

    def forget_user(self, user_id: int) -> None:
        """Resolve every session of this user again."""
        self._forgotten[user_id] = next(self._positions)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
