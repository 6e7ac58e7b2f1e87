"""A session that another system opened, and the sessions of one user of its file."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from auth_service.sessions.model import MAX_SESSIONS
from shared.events.envelope import new_id


class TokenKind(StrEnum):
    """What a token is for."""

    SESSION = "session"
    """It is sent with every call. It can be exchanged for a pair of ours, too."""
    REFRESH = "refresh"
    """It can only be exchanged."""


class SessionOutcome(StrEnum):
    """What becomes of a session of the file, in the words of the report."""

    NEW = "new"
    PRESENT = "imported before"
    CLOSED = "of users who were banned or ended all theirs"
    EXPIRED = "expired"
    CROWDED_OUT = f"beyond {MAX_SESSIONS} of one user"


@dataclass(frozen=True, slots=True)
class ImportedSession:
    """A session about to be imported. ``token_hash`` is the digest by which it is stored.

    ``token_sha256`` is what would be stored if the token were one of ours. Without ``ends_at`` the session lives as
    ours do, for 30 days from its last use.
    """

    token_hash: bytes
    token_sha256: bytes = field(repr=False)
    kind: TokenKind
    client: str
    opened_at: datetime
    ends_at: datetime | None
    session_id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class UserSessions:
    """The sessions of one user: those that live, the newest first, and how many do not.

    ``expired`` are over, and ``crowded_out`` are beyond what one user may have.
    """

    live: tuple[ImportedSession, ...] = ()
    expired: int = 0
    crowded_out: int = 0

    @classmethod
    def of(cls, sessions: Iterable[ImportedSession], now: datetime) -> "UserSessions":
        """Of all sessions that the file has for a user. A token that it has twice is one session."""
        distinct = {session.token_hash: session for session in sessions}.values()
        live = [session for session in distinct if session.ends_at is None or session.ends_at > now]
        live.sort(key=lambda session: session.opened_at, reverse=True)
        return cls(tuple(live[:MAX_SESSIONS]), len(distinct) - len(live), max(0, len(live) - MAX_SESSIONS))
