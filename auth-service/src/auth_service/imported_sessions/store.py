"""Imported sessions in PostgreSQL: ``sessions``, ``refresh_tokens``, ``imported_sessions`` and ``audit_log``."""

import secrets
from collections.abc import Sequence

from auth_service.audit import SESSION_IMPORTED, Operator
from auth_service.imported_sessions.model import ImportedSession, TokenKind
from shared.events.envelope import new_id
from shared.postgres import Connection
from shared.sql import load_sql

DIALECT = "import"
"""The contract that an imported session was opened with: none of ours."""

OWNERS = """
    select token_hash, user_id from imported_sessions where token_hash = any ($1::bytea[])
    union all
    select token_hash, user_id from sessions where token_hash = any ($2::bytea[])
    union all
    select r.token_hash, s.user_id from refresh_tokens r join sessions s on s.session_id = r.session_id
    where r.token_hash = any ($2::bytea[])
"""
ADD_SESSIONS = load_sql("auth_service.imported_sessions", "add_sessions.sql")


async def find_owners(conn: Connection, sessions: Sequence[ImportedSession]) -> dict[bytes, int]:
    """The users who have some of these tokens, by ``token_hash``, or by ``token_sha256`` for a token of ours."""
    if not sessions:
        return {}
    hashes = [each.token_hash for each in sessions], [each.token_sha256 for each in sessions]
    return {row["token_hash"]: row["user_id"] for row in await conn.fetch(OWNERS, *hashes)}


async def add_sessions(conn: Connection, sessions: Sequence[tuple[int, ImportedSession]], operator: Operator) -> int:
    """Add sessions, each with the id of its user, inside the caller's transaction.

    Returns how many were added: none for a user who was banned or has ended all sessions. No one knows a token of ours
    for them. Raises ``asyncpg.UniqueViolationError`` for a token that was imported meanwhile.
    """
    if not sessions:
        return 0
    imported = [session for _, session in sessions]
    is_sent = [session.kind is TokenKind.SESSION for session in imported]
    arguments = ADD_SESSIONS.arguments(
        user_ids=[user_id for user_id, _ in sessions],
        token_hashes=[each.token_hash for each in imported],
        opaque_hashes=[
            each.token_hash if sent else secrets.token_bytes(32) for each, sent in zip(imported, is_sent, strict=True)
        ],
        session_ids=[each.session_id for each in imported],
        clients=[each.client for each in imported],
        opened_ats=[each.opened_at for each in imported],
        ends_ats=[each.ends_at for each in imported],
        token_ends_ats=[each.ends_at if sent else None for each, sent in zip(imported, is_sent, strict=True)],
        entry_ids=[new_id() for _ in imported],
        dialect=DIALECT,
        action=SESSION_IMPORTED,
        actor=operator.name,
        reason=operator.reason,
    )
    added: int = await conn.fetchval(ADD_SESSIONS.text, *arguments)
    return added
