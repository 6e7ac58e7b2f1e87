"""Resolved sessions, cached for a few seconds: a session that ends must stop working at every gateway within five."""

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from uuid import UUID

from shared.internal_api.auth import Account, LoggedIn, Resolved

LIFETIME_SECONDS = 4.0
MAX_SESSIONS = 20_000

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Mark(NamedTuple):
    """A moment: its place in the order of all marks, and its time in seconds."""

    position: int
    at: float


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has not ended, with its account, and what was rendered of it."""

    session_id: UUID
    account: Account
    _bodies: dict[Callable[[Account], bytes], bytes] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, session: Resolved) -> "Session":
        return cls(session.session_id, session.account)

    def body(self, render: Callable[[Account], bytes]) -> bytes:
        """The account as ``render`` writes it, written once."""
        body = self._bodies.get(render)
        if body is None:
            body = self._bodies[render] = render(self.account)
        return body


class SessionCache:
    """Resolved sessions by the hash of their token.

    To forget a user takes constant time: it only sets a mark, and entries with an earlier mark are ignored.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: dict[bytes, tuple[Mark, Session]] = {}
        self._forgotten: dict[int, tuple[Mark, None]] = {}
        self._positions = itertools.count()

    def get(self, token: str) -> Session | None:
        """The session, if it was resolved within the last four seconds and its user was not forgotten since."""
        entry = self._sessions.get(_key(token))
        if entry is None:
            return None
        mark, session = entry
        if self._clock() - mark.at >= LIFETIME_SECONDS:
            return None
        forgotten = self._forgotten.get(session.account.user_id)
        return session if forgotten is None or mark.position > forgotten[0].position else None

    def mark(self) -> Mark:
        """The current moment. Take it before the call to auth-service: the response is no newer than that."""
        return Mark(next(self._positions), self._clock())

    def put(self, token: str, session: Session, mark: Mark) -> None:
        """Cache a session that auth-service resolved in a call made after ``mark``."""
        now = self._clock()
        if now - mark.at < LIFETIME_SECONDS:
            _add(self._sessions, _key(token), (mark, session), since=now - LIFETIME_SECONDS)

    def remember(self, logged_in: LoggedIn) -> None:
        """Cache a session that was just opened, and forget the user's other sessions, which may have ended."""
        self.forget_user(logged_in.account.user_id)
        self.put(logged_in.token, Session.of(logged_in), self.mark())

    def forget_user(self, user_id: int) -> None:
        """Resolve every session of this user again."""
        mark = self.mark()
        _add(self._forgotten, user_id, (mark, None), since=mark.at - 2 * LIFETIME_SECONDS)


def _add(entries: dict[KeyT, tuple[Mark, ValueT]], key: KeyT, entry: tuple[Mark, ValueT], *, since: float) -> None:
    """Add the newest entry. Those before ``since`` go, and the oldest of too many."""
    entries.pop(key, None)
    while entries:
        oldest = next(iter(entries))
        if len(entries) < MAX_SESSIONS and entries[oldest][0].at > since:
            break
        del entries[oldest]
    entries[key] = entry


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
