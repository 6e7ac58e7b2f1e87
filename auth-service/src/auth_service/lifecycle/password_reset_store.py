"""Password reset in PostgreSQL: the tables ``accounts``, ``spent_tickets`` and ``sessions``."""

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from auth_service import audit_store
from auth_service.accounts.columns import ACCOUNT, account_of
from auth_service.accounts.events import password_changed
from auth_service.accounts.known_network_store import remember_only
from auth_service.audit import AuditEntry
from auth_service.retirement.model import ConflictError
from auth_service.sessions.events import session_opened, session_revoked
from auth_service.sessions.model import EndedSession, NewSession
from auth_service.sessions.session_store import add_session, end_sessions
from shared import outbox
from shared.events.envelope import OutboxMessage
from shared.internal_api.auth import Account
from shared.internal_api.sms import Purpose
from shared.postgres import Pool, transaction
from shared.tickets import Ticket

CAUSE: Final = "reset_password"

# This locks the account, if it still has the number that was verified. A log-in that is being written is then seen by
# end_sessions, and a later one finds another password_changed_at and is refused.
SET_PASSWORD = f"""
    with spent_ticket as (
        insert into spent_tickets (verification_id, purpose, user_id, network) values ($1, $2, $3, $7)
    )
    update accounts as a
    set password_hash = $4, version = version + 1,
        updated_at = now(), last_login_at = now(), password_changed_at = now(), tickets_valid_from = now()
    where user_id = $3 and phone = $5 and tickets_valid_from < $6 and banned_at is null
    returning {ACCOUNT}
"""  # noqa: S608  our own list of columns


class PasswordResetStore:
    """``password_reset.PasswordResetRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def reset(self, ticket: Ticket, password_hash: str, session: NewSession, entry: AuditEntry) -> Account:
        """Spend the ticket, set the hash, end every session and open this one. Raises ``ConflictError``.

        Of the known networks only the present one stays.
        """
        user_id, purpose = session.user_id, Purpose.RESET_PASSWORD
        try:
            async with transaction(self._pool) as conn:
                values = (password_hash, ticket.number, ticket.issued_at, session.context.network_ref)
                row = await conn.fetchrow(SET_PASSWORD, ticket.verification_id, purpose, user_id, *values)
                if row is None:  # banned, erased, given another number, or its tickets ended, since its state was read
                    raise ConflictError
                await remember_only(conn, user_id, session.context.known_network)
                ended = await end_sessions(conn, user_id, CAUSE)
                await add_session(conn, session)
                await audit_store.add_entry(conn, entry)
                await outbox.put(conn, _messages(row["version"], ended, session))
        except asyncpg.UniqueViolationError as error:
            raise ConflictError from error
        self._wake()
        return account_of(row)


def _messages(version: int, ended: Sequence[EndedSession], opened: NewSession) -> list[OutboxMessage]:
    return [
        password_changed(opened.user_id, version, "reset", len(ended)),
        *(session_revoked(session, CAUSE) for session in ended),
        session_opened(opened, CAUSE),
    ]
