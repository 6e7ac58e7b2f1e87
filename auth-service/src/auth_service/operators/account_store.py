"""Accounts for operators, in PostgreSQL."""

from collections.abc import Callable
from typing import Final

from auth_service.accounts.columns import ACCOUNT, ACCOUNT_FIELDS
from auth_service.accounts.known_network_store import forget_networks
from auth_service.operators.accounts import AccountView
from auth_service.operators.audit_reader_store import AuditFilter, AuditReader
from auth_service.personal_data.store import count_networks, living_sessions
from auth_service.sessions.events import session_revoked
from auth_service.sessions.session_store import END_TICKETS, end_sessions
from shared import outbox
from shared.internal_api.auth import AccountFields
from shared.internal_api.operators.accounts import AccountRequest, EndAccountSessions, ExportedAccount, FoundAccount
from shared.postgres import Pool, connection, transaction

CAUSE: Final = "ended_by_operator"

FIND = """
    select user_id, phone, name, nickname, dialect, client, created_at, last_login_at, last_used_at, banned_at,
        banned_until, retired_at
    from accounts
    where phone = $1 or user_id = $2
        or user_id = (select user_id from sessions where session_id = $3 and expires_at > now())
        or user_id = (select user_id from spent_tickets where verification_id = $4)
"""
EXPORT = f"""
    select {ACCOUNT}, a.dialect, a.client, a.last_used_at, a.banned_until, a.retired_at
    from accounts a where a.user_id = $1
"""  # noqa: S608  our own columns
MAX_USER_ID = 2**63 - 1


class AccountStore:
    """``accounts.AccountRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, audit: AuditReader, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._audit = audit
        self._wake = wake

    async def find(self, request: AccountRequest) -> AccountView | None:
        """The account that the request names, with its sessions, newest first."""
        user_id = request.user_id if request.user_id is None or 0 < request.user_id <= MAX_USER_ID else 0
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(FIND, request.phone, user_id, request.session_id, request.verification_id)
            if row is None:
                return None
            return AccountView(FoundAccount(**dict(row), sessions=[]), await living_sessions(conn, row["user_id"]))

    async def end_sessions(self, user_id: int, request: EndAccountSessions) -> int:
        """End the user's sessions, or the one that the request names.

        With all of them, every ticket ends and no network stays known.
        """
        async with transaction(self._pool) as conn:
            if request.session_id is None:
                await conn.execute(END_TICKETS, user_id)
                await forget_networks(conn, user_id)
            ended = await end_sessions(conn, user_id, CAUSE, only=request.session_id, operator=request.operator)
            await outbox.put(conn, [session_revoked(session, CAUSE) for session in ended])
        self._wake()
        return len(ended)

    async def export(self, user_id: int) -> ExportedAccount | None:
        """What is stored about a user. Who looked at them, and why, is the operators' own."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(EXPORT, user_id)
            if row is None:
                return None
            sessions, networks = await living_sessions(conn, user_id), await count_networks(conn, user_id)
        entries = await self._audit.find(AuditFilter(user_id=user_id))
        return ExportedAccount(
            account=AccountFields(**{field: row[field] for field in ACCOUNT_FIELDS}),
            registered_with="/".join(filter(None, (row["dialect"], row["client"]))),
            last_used_at=row["last_used_at"],
            banned_until=row["banned_until"],
            retired_at=row["retired_at"],
            known_networks=networks,
            sessions=sessions,
            audit=[entry.row.model_copy(update={"by": "", "reason": ""}) for entry in entries],
        )
