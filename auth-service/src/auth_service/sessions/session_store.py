"""How sessions open and end in PostgreSQL, each stored by the digest of its token: the table ``sessions``."""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import asyncpg

from auth_service.accounts.columns import ACCOUNT, account_of, with_columns
from auth_service.accounts.known_network_store import MAX_NETWORKS, forget_other_networks
from auth_service.accounts.model import StoredAccount
from auth_service.audit import SESSION_ENDED, AuditEntry
from auth_service.passwords.deadlocks import retried_after_deadlock
from auth_service.passwords.model import Bucket, CountedFailure
from auth_service.sessions import events
from auth_service.sessions.model import MAX_SESSIONS, EndedSession, NewSession
from auth_service.sessions.session_metrics import ENDED
from shared import outbox
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import OutboxMessage, new_id
from shared.events.words import RevokedCause
from shared.internal_api.auth import Account, LivingSession
from shared.postgres import Connection, Pool, connection, transaction
from shared.sql import load_sql

OPEN_SESSION = with_columns(load_sql("auth_service.sessions", "open_session.sql"), ACCOUNT)

ADD_SESSION = """
    insert into sessions (token_hash, session_id, user_id, client, dialect, expires_at)
    values ($1, $2, $3, $4, $5, now() + interval '30 days')
"""

LIST = """
    select session_id, client, dialect, opened_at from sessions
    where user_id = $1 and expires_at > now() order by opened_at desc, session_id desc limit 100
"""

# The end of a statement that has deleted sessions: each gets a row in the audit log. $1 is the cause, $2 the operator.
RECORD_ENDED = f"""
    recorded as (
        insert into audit_log (id, action, user_id, session_id, client, dialect, detail, actor)
        select gen_random_uuid(), '{SESSION_ENDED}', user_id, session_id, client, dialect, $1, $2 from ended
    )
    select session_id, user_id, client from ended
"""  # noqa: S608  our own word

END = f"""
    with ended as (
        delete from sessions
        where user_id = $3 and ($4::uuid is null or session_id = $4) and ($5::uuid is null or session_id <> $5)
        returning session_id, user_id, client, dialect
    ), {RECORD_ENDED}
"""  # noqa: S608  our own word

END_ANY = f"""
    with ended as (
        delete from sessions where token_hash in (select token_hash from sessions limit $3 for update)
        returning session_id, user_id, client, dialect
    ), {RECORD_ENDED}
"""  # noqa: S608  our own word

END_TICKETS = "update accounts set tickets_valid_from = now() where user_id = $1"

# Not part of open_session.sql: only a statement that starts under the lock of the account sees the sessions that others
# opened before. Expired sessions end first, then the oldest, and never the new one.
END_OLDEST = f"""
    with ended as (
        delete from sessions where token_hash in (
            select token_hash from sessions where user_id = $3 and session_id <> $4
            order by expires_at > now() desc, opened_at desc, session_id desc offset $5 limit 1000
        )
        returning session_id, user_id, client, dialect
    ), {RECORD_ENDED}
"""  # noqa: S608  our own word

DELETE_REFRESH_TOKENS = "delete from refresh_tokens where session_id = any ($1::uuid[])"


class SessionStore:
    """``session_opener.SessionRepository`` and ``user_sessions.UserSessionRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

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
        """Write the session with all that belongs to it; None when password, number or ban changed meanwhile.

        Raises ``CALLER_LIMIT`` when a bucket of successes is full.
        """
        values = session_arguments(session, entry, [message]) | {
            "user_id": account.user_id,
            "phone": account.account.phone,
            "password_changed_at": account.password_changed_at,
            "tickets_valid_from": account.tickets_valid_from if with_ticket else None,
            "max_other_networks": MAX_NETWORKS - 1,
            "new_hash": new_hash,
            "counted_buckets": [failure.bucket for failure in counted],
            "counted_intervals": [failure.interval for failure in counted],
            "success_buckets": [bucket.name for bucket in success_buckets],
            "success_intervals": [bucket.interval for bucket in success_buckets],
            "success_periods": [bucket.period for bucket in success_buckets],
        }
        row = await retried_after_deadlock(partial(self._open_beside_few, values))
        if row["is_crowded"]:
            row = await retried_after_deadlock(partial(self._open_beside_many, values, session))
        if row["user_id"] is None:
            return None
        self._wake()
        return account_of(row)

    async def _open_beside_few(self, values: dict[str, object]) -> asyncpg.Record:
        """Open a session of a user far below ``MAX_SESSIONS`` in one round trip. Of another user, the row is crowded.

        Sessions that open at the same moment are not seen: half of the limit is left to them.
        """
        async with connection(self._pool) as conn:
            return await _open(conn, values | {"few_sessions": MAX_SESSIONS // 2})

    async def _open_beside_many(self, values: dict[str, object], session: NewSession) -> asyncpg.Record:
        """Open a session, and end the user's oldest beyond ``MAX_SESSIONS``."""
        async with transaction(self._pool) as conn:
            row = await _open(conn, values | {"few_sessions": None})
            if row["user_id"] is not None:
                await _end_oldest(conn, session)
            return row

    async def list(self, user_id: int) -> Sequence[LivingSession]:
        """The sessions of the user that have not expired, newest first."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(LIST, user_id)
        return [LivingSession(**dict(row)) for row in rows]

    async def end(self, user_id: int, session_id: UUID) -> bool:
        """End one session of the user. False if there is none."""
        async with transaction(self._pool) as conn:
            ended = await _end_by_user(conn, user_id, only=session_id)
        if ended:
            self._wake()
        return ended > 0

    async def end_others(self, user_id: int, kept: UUID, network: int | None) -> int:
        """End all sessions of the user but one, and every ticket. Returns how many sessions ended.

        If this network is known, every other one is forgotten.
        """
        async with transaction(self._pool) as conn:
            await conn.execute(END_TICKETS, user_id)
            await forget_other_networks(conn, user_id, network)
            ended = await _end_by_user(conn, user_id, but=kept)
        if ended:
            self._wake()
        return ended


async def _open(conn: Connection, values: dict[str, object]) -> asyncpg.Record:
    """Run ``open_session.sql``. Raises ``CALLER_LIMIT`` when a bucket of successes is full."""
    row = await conn.fetchrow(OPEN_SESSION.text, *OPEN_SESSION.arguments(**values))
    assert row is not None  # noqa: S101  an aggregate has exactly one row
    if row["retry_after"] is not None:
        raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=row["retry_after"])
    return row


def session_arguments(session: NewSession, entry: AuditEntry, messages: Sequence[OutboxMessage]) -> dict[str, object]:
    """The arguments of statements that write a session with its audit entry and its messages."""
    message_ids, exchanges, routing_keys, bodies = outbox.columns(messages)
    return {
        "token_hash": session.token_hash,
        "session_id": session.session_id,
        "client": session.context.client,
        "dialect": session.context.dialect,
        "entry_id": new_id(),
        "action": entry.action,
        "phone_ref": entry.phone_ref,
        "network": entry.context.network,
        "known_network": entry.context.known_network,
        "message_ids": message_ids,
        "exchanges": exchanges,
        "routing_keys": routing_keys,
        "bodies": bodies,
    }


async def add_session(conn: Connection, session: NewSession) -> None:
    """Write a session inside the caller's transaction."""
    context = session.context
    await conn.execute(
        ADD_SESSION, session.token_hash, session.session_id, session.user_id, context.client, context.dialect
    )


async def end_sessions(
    conn: Connection,
    user_id: int,
    cause: RevokedCause,
    *,
    only: UUID | None = None,
    but: UUID | None = None,
    operator: str = "",
) -> list[EndedSession]:
    """End a user's sessions with their refresh tokens, inside the caller's transaction, each with its audit row.

    All of them, or ``only`` one, or all ``but`` one. Returns those that ended; publishing events is up to the caller,
    which also locks the account first where no session may open meanwhile. ``operator`` is the name of the operator who
    ends them, if one does.
    """
    return await _end(conn, END, cause, operator, user_id, only, but)


async def end_any_sessions(conn: Connection, limit: int, *, operator: str) -> list[EndedSession]:
    """End so many sessions of any users, as ``end_sessions`` does, after a backup was restored."""
    return await _end(conn, END_ANY, "restored", operator, limit)


async def _end_by_user(conn: Connection, user_id: int, *, only: UUID | None = None, but: UUID | None = None) -> int:
    """End sessions as their user asks, and publish that. Returns how many."""
    ended = await end_sessions(conn, user_id, "ended_by_user", only=only, but=but)
    await outbox.put(conn, [events.session_revoked(session, "ended_by_user") for session in ended])
    return len(ended)


async def _end_oldest(conn: Connection, opened: NewSession) -> None:
    """End the user's oldest sessions beyond ``MAX_SESSIONS``, and publish that."""
    ended = await _end(conn, END_OLDEST, "crowded_out", "", opened.user_id, opened.session_id, MAX_SESSIONS - 1)
    if ended:
        await outbox.put(conn, [events.session_revoked(session, "crowded_out") for session in ended])


async def _end(conn: Connection, statement: str, cause: RevokedCause, *arguments: object) -> list[EndedSession]:
    """Run one deletion of sessions, then delete the refresh tokens of the deleted sessions.

    The second statement starts after the first one has locked the sessions, so it also deletes tokens that a
    concurrent grant or refresh added while the first one waited.
    """
    ended = [EndedSession(*row) for row in await conn.fetch(statement, cause, *arguments)]
    ENDED.labels(cause).inc(len(ended))
    if ended:
        await conn.execute(DELETE_REFRESH_TOKENS, [session.session_id for session in ended])
    return ended
