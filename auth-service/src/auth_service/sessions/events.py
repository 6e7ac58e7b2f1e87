"""The events about a session: ``auth.session.opened`` and ``auth.session.revoked``."""

from auth_service.accounts.events import SOURCE
from auth_service.sessions.model import EndedSession, NewSession
from shared.events.catalogue import SessionOpened, SessionRevoked
from shared.events.envelope import OutboxMessage, new_event
from shared.events.words import OpenedCause, RevokedCause

OPENED, REVOKED = 1, 2
"""The two versions of a session: it opens, and it ends."""


def session_opened(session: NewSession, cause: OpenedCause) -> OutboxMessage:
    """A new session. ``cause`` is the operation that opened it."""
    data = SessionOpened(
        user_id=str(session.user_id), session_id=str(session.session_id), cause=cause, client=session.context.client
    )
    return new_event(data, source=SOURCE, subject=data.session_id, version=OPENED)


def session_revoked(session: EndedSession, cause: RevokedCause) -> OutboxMessage:
    """A session that ended before it expired. ``cause`` is the operation that ended it."""
    data = SessionRevoked(
        user_id=str(session.user_id), session_id=str(session.session_id), cause=cause, client=session.client
    )
    return new_event(data, source=SOURCE, subject=data.session_id, version=REVOKED)
