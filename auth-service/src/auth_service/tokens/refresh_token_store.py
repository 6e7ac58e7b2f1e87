"""Refresh tokens in PostgreSQL, by their digest: the table ``refresh_tokens``, under the lock of the session's row."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from auth_service import audit_store
from auth_service.audit import AuditEntry
from auth_service.client_context import ClientContext
from auth_service.sessions import events
from auth_service.sessions.session_store import end_sessions
from auth_service.sessions.token_digests import TokenHashes
from auth_service.tokens.refresh_tokens import ACTION, TokenRecord
from shared import outbox
from shared.events.envelope import new_id
from shared.postgres import Connection, Pool, connection, transaction
from shared.sql import load_sql

# The lock on the session makes its end wait for this token, and this statement wait for its end.
ADD_FIRST = """
    with session as (
        select session_id, user_id, client, dialect from sessions
        where token_hash = $1 and expires_at > now() and oldest_generation = 0 for key share
    ), first_token as (
        insert into refresh_tokens (token_hash, session_id, begins_chain) select $2, session_id, true from session
    ), new_entry as (
        insert into audit_log (id, action, user_id, session_id, client, dialect)
        select $3, 'refresh_token.granted', user_id, session_id, client, dialect from session
    )
    select session_id, user_id from session
"""

ADD_CHAIN = """
    insert into refresh_tokens (token_hash, session_id, begins_chain, generation)
    select $2, session_id, true, $3 from sessions where session_id = $1 and expires_at > now() for key share
"""

LOCK_SESSION = """
    select r.token_hash, r.generation, s.session_id, s.user_id, s.client, s.dialect
    from refresh_tokens r
    join sessions s on s.session_id = r.session_id
    join accounts a on a.user_id = s.user_id
    where r.token_hash in ($1, $2) and s.expires_at > now() and a.banned_at is null
    for update of s
"""

# A refresh notes once a day that the user was seen, unless the account is locked: see living_session_store.EXTEND.
# The first use of a chain ends the chains that began before it. A row expires 30 days after it was added.
# clock_timestamp(): this transaction may have started before the one that replaced the token committed.
FIND = """
    select salt, coalesce(spent_at < clock_timestamp() - interval '30 seconds', false) as used_long_ago
    from refresh_tokens where token_hash = $1
"""

REPLACE = load_sql("auth_service.tokens", "replace_token.sql")


async def add_chain(conn: Connection, session_id: UUID, token_hash: bytes, generation: int) -> None:
    """Store the first token of a new chain, inside the caller's transaction. A session that has ended gets none."""
    await conn.execute(ADD_CHAIN, session_id, token_hash, generation)


class StoredFamily:
    """``refresh_tokens.LockedFamily`` inside a transaction that holds the lock on the session."""

    def __init__(self, conn: Connection, row: asyncpg.Record, network: str) -> None:
        self._conn = conn
        self._context = ClientContext(row["dialect"], row["client"], network)
        self.token_hash: bytes = row["token_hash"]
        self.generation: int = row["generation"]
        self.session_id: UUID = row["session_id"]
        self.user_id: int = row["user_id"]
        self.has_ended = False

    async def find(self, token_hash: bytes) -> TokenRecord | None:
        """The record of this token."""
        row = await self._conn.fetchrow(FIND, token_hash)
        return TokenRecord(*row) if row else None

    async def replace(self, token_hash: bytes, salt: bytes, successor_hash: bytes) -> None:
        """Replace the usable token by its successor. The first token of a chain also ends the chains before it.

        The session accepts no token of a lower generation from then on. It expires 30 days from now, and its user
        counts as seen today.
        """
        arguments = REPLACE.arguments(
            token_hash=token_hash,
            salt=salt,
            successor_hash=successor_hash,
            user_id=self.user_id,
            entry_id=new_id(),
            network=self._context.network,
        )
        await self._conn.execute(REPLACE.text, *arguments)

    async def record(self, outcome: str) -> None:
        """Write an outcome that changed nothing into the audit log."""
        await audit_store.add_entry(self._conn, self._entry(outcome))

    async def end_session(self) -> None:
        """End the session because a token was used again after its successor, and publish that."""
        ended = await end_sessions(self._conn, self.user_id, "refresh_reuse", only=self.session_id)
        await audit_store.add_entry(self._conn, self._entry("reused"))
        await outbox.put(self._conn, [events.session_revoked(session, "refresh_reuse") for session in ended])
        self.has_ended = True

    def _entry(self, outcome: str) -> AuditEntry:
        return AuditEntry(f"{ACTION}.{outcome}", None, self._context, self.user_id, self.session_id)


class RefreshTokenStore:
    """``refresh_tokens.RefreshTokenRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def add_first(self, session_token_hash: bytes, token_hash: bytes) -> tuple[UUID, int] | None:
        """Add a session's first token. Returns the session and its user; None if the session has ended."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(ADD_FIRST, session_token_hash, token_hash, new_id())
        return (row["session_id"], row["user_id"]) if row else None

    @asynccontextmanager
    async def locked_family(self, token_hashes: TokenHashes, network: str) -> AsyncIterator[StoredFamily | None]:
        """Lock the session of a token that may be stored by one of these hashes, if it has not ended.

        Leaving the block commits.
        """
        async with transaction(self._pool) as conn:
            row = await conn.fetchrow(LOCK_SESSION, *token_hashes)
            family = None if row is None else StoredFamily(conn, row, network)
            yield family
        if family is not None and family.has_ended:
            self._wake()
