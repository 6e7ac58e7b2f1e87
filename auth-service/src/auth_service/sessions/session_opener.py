"""Opens sessions for users who have proved who they are."""

from collections.abc import Sequence
from typing import Protocol

import structlog

from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry
from auth_service.passwords.model import Bucket, CountedFailure
from auth_service.sessions import events
from auth_service.sessions.model import NewSession
from auth_service.sessions.session_metrics import OPENED
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import OutboxMessage
from shared.events.words import OpenedCause
from shared.internal_api.auth import Account, LoggedIn
from shared.process.metric_children import child

log = structlog.get_logger()


class SessionRepository(Protocol):
    """Where sessions are opened."""

    async def open(
        self,
        account: StoredAccount,
        session: NewSession,
        entry: AuditEntry,
        message: OutboxMessage,
        *,
        new_hash: str | None = None,
        counted: Sequence[CountedFailure] = (),
        success_buckets: Sequence[Bucket] = (),
        with_ticket: bool = False,
    ) -> Account | None:
        """Write the session with its audit entry and message, and refund ``counted``, in one transaction.

        It is counted in ``success_buckets``. Raises ``CALLER_LIMIT``, and writes nothing, when one of them is full.

        The network of the entry is known to the account from then on. None, and nothing written, when the password, the
        number or the ban changed since ``account`` was read, or with a ticket, when tickets ended. ``new_hash``
        replaces the hash of the same password.
        """


class SessionOpener:
    """Opens a session, or refuses because the account changed since its user was verified."""

    def __init__(self, repository: SessionRepository) -> None:
        self._repository = repository

    async def open(
        self,
        account: StoredAccount,
        entry: AuditEntry,
        *,
        cause: OpenedCause,
        refuse_with: ErrorCode,
        new_hash: str | None = None,
        counted: Sequence[CountedFailure] = (),
        success_buckets: Sequence[Bucket] = (),
    ) -> LoggedIn:
        """The account with its new session. Raises ``refuse_with``, ``CALLER_LIMIT``, ``UNAVAILABLE``."""
        session = NewSession(account.user_id, entry.context)
        message = events.session_opened(session, cause)
        opened = await self._repository.open(
            account,
            session,
            entry,
            message,
            new_hash=new_hash,
            counted=counted,
            success_buckets=success_buckets,
        )
        return _logged_in(session, opened, cause, refuse_with)

    async def open_with_ticket(self, account: StoredAccount, entry: AuditEntry, *, cause: OpenedCause) -> LoggedIn:
        """The account with its new session. Raises ``CODE_REFUSED`` when its tickets ended, and ``UNAVAILABLE``."""
        session = NewSession(account.user_id, entry.context)
        message = events.session_opened(session, cause)
        opened = await self._repository.open(account, session, entry, message, with_ticket=True)
        return _logged_in(session, opened, cause, ErrorCode.CODE_REFUSED)


def _logged_in(session: NewSession, opened: Account | None, cause: OpenedCause, refuse_with: ErrorCode) -> LoggedIn:
    if opened is None:
        raise ServiceError(refuse_with)
    child(OPENED, cause, session.context.dialect).inc()
    log.info("session.opened", user_id=session.user_id, session_id=str(session.session_id), cause=cause)
    return LoggedIn(account=opened, session_id=session.session_id, token=session.token)
