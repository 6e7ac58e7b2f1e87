"""Refresh tokens in PostgreSQL: a chain of hashes per session, guarded by the lock on the session's row."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from auth_service import audit_store
from auth_service.accounts import events
from auth_service.accounts.columns import SHOWN, account_of
from auth_service.accounts.model import AuditEntry, ClientContext, EndedSession
from auth_service.tokens.refresh_tokens import TokenRecord
from shared import outbox
from shared.internal_api.auth import Resolved
from shared.postgres import Connection, Pool, connection, transaction

BEGIN = """
    with s as (
        select session_id, user_id from sessions where token_hash = $1 and expires_at > now()
    ), begun as (
        insert into refresh_tokens (token_hash, session_id) select $2, session_id from s
    )
    select session_id, user_id from s
"""

TAKE_TURN = """
    select s.session_id, s.user_id, s.client, s.dialect
    from refresh_tokens r
    join sessions s on s.session_id = r.session_id
    join accounts a on a.user_id = s.user_id
    where r.token_hash = $1 and s.expires_at > now() and a.banned_at is null
    for update of s
"""

# clock_timestamp(), because the transaction may have begun before the one that spent the token committed.
LOOK = """
    select salt, coalesce(spent_at < clock_timestamp() - interval '30 seconds', false) as stale
    from refresh_tokens where token_hash = $1
"""

SPEND = """
    with spent as (
        update refresh_tokens set salt = $2, spent_at = clock_timestamp() where token_hash = $1 returning session_id
    ), slid as (
        update sessions set expires_at = now() + interval '30 days'
        where session_id = (select session_id from spent)
    )
    insert into refresh_tokens (token_hash, session_id) select $3, session_id from spent
"""

END = "delete from sessions where session_id = $1"

DROP = "delete from refresh_tokens where session_id = $1"

FIND = f"""
    select s.session_id, {SHOWN}
    from sessions s join accounts a on a.user_id = s.user_id
    where s.session_id = $1 and s.expires_at > now() and a.banned_at is null
"""  # noqa: S608  our own list of columns


class StoredFamily:
    """``families.LockedFamily`` inside a transaction that holds the session's row."""

    def __init__(self, conn: Connection, session: EndedSession, dialect: str) -> None:
        self._conn = conn
        self._session = session
        self._dialect = dialect
        self.session_id = session.session_id
        self.user_id = session.user_id
        self.ended = False

    async def look(self, token_hash: bytes) -> TokenRecord | None:
        """The link of this token."""
        row = await self._conn.fetchrow(LOOK, token_hash)
        return TokenRecord(*row) if row else None

    async def spend(self, token_hash: bytes, salt: bytes, successor_hash: bytes) -> None:
        """Replace a living token by its successor; the session lives for 30 days from now."""
        await self._conn.execute(SPEND, token_hash, salt, successor_hash)

    async def end(self) -> None:
        """End the session, and tell that a token of it was used again."""
        await self._conn.execute(END, self.session_id)
        await self._conn.execute(DROP, self.session_id)
        origin = ClientContext(self._dialect, self._session.client)
        await audit_store.put(self._conn, AuditEntry("refresh.reused", None, origin, self.user_id))
        await outbox.put(self._conn, [events.session_revoked(self._session, "refresh_reuse")])
        self.ended = True


class RefreshTokenStore:
    """``families.RefreshTokenRepository`` over PostgreSQL. ``wake`` is called after each commit that left messages."""

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def begin(self, session_token_hash: bytes, token_hash: bytes) -> tuple[UUID, int] | None:
        """Begin a family in the session of this token. Returns the session and its user, if it lives."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(BEGIN, session_token_hash, token_hash)
        return (row["session_id"], row["user_id"]) if row else None

    @asynccontextmanager
    async def turn(self, token_hash: bytes) -> AsyncIterator[StoredFamily | None]:
        """Take turns on the living session that this refresh token belongs to; committed when the block ends."""
        async with transaction(self._pool) as conn:
            row = await conn.fetchrow(TAKE_TURN, token_hash)
            turn = None
            if row is not None:
                turn = StoredFamily(
                    conn, EndedSession(row["session_id"], row["user_id"], row["client"]), row["dialect"]
                )
            yield turn
        if turn is not None and turn.ended:
            self._wake()

    async def find(self, session_id: UUID) -> Resolved | None:
        """The living session of this id and its account, unless banned."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(FIND, session_id)
        return Resolved(session_id=row["session_id"], account=account_of(row)) if row else None
