"""Retention in PostgreSQL: sessions, tickets, tokens, networks, counters, marks. The audit log has its own."""

from datetime import timedelta

from auth_service.accounts import known_network_store
from auth_service.tickets.spent_ticket_store import RETENTION_DAYS
from shared.postgres import Pool, connection
from shared.tickets import LIFETIME

# "skip locked" passes over a row that another process deletes, and a session that is being extended.
SESSIONS = """
    delete from sessions where token_hash in (
        select token_hash from sessions where expires_at < now() limit $1 for update skip locked
    )
"""

SPENT_TICKETS = """
    delete from spent_tickets where verification_id in (
        select verification_id from spent_tickets where spent_at < now() - make_interval(days => $2)
        limit $1 for update skip locked
    )
"""

# A used token stays as long as its successor may be unused: a client that lost the response comes back with it. 30 days
# after its use the successor was used or the session has expired; then the token is refused as a forged one is.
REFRESH_TOKENS = """
    delete from refresh_tokens where token_hash in (
        select token_hash from refresh_tokens
        where expires_at < now() and (spent_at is null or spent_at < now() - interval '30 days')
        limit $1 for update skip locked
    )
"""

KNOWN_NETWORKS = """
    delete from known_networks where (user_id, network) in (
        select user_id, network from known_networks where proven_on <= current_date - $2::int
        limit $1 for update skip locked
    )
"""

FREED_NUMBERS = """
    delete from freed_numbers where mark in (
        select mark from freed_numbers where freed_at < now() - $2::interval
        limit $1 for update skip locked
    )
"""

# A later file may give the same token a later end. While there is its mark, one that its user ended does not come back.
IMPORTED_SESSIONS = """
    delete from imported_sessions where token_hash in (
        select token_hash from imported_sessions where ends_at < now() - interval '1 year'
        limit $1 for update skip locked
    )
"""

ABSENT_USERS = """
    delete from absent_users where mark in (
        select mark from absent_users where expires_at < now() limit $1 for update skip locked
    )
"""

LOGIN_LIMITS = """
    delete from login_limits where bucket in (
        select bucket from login_limits where full_at < now() limit $1 for update skip locked
    )
"""

USER_CHANGES = """
    delete from user_changes where (user_id, counter) in (
        select user_id, counter from user_changes where full_at < now() - interval '1 hour' limit $1
        for update skip locked
    )
"""


class RetentionStore:
    """``retention.RetentionRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def delete_expired(self, limit: int) -> int:
        """Delete at most ``limit`` rows of each table. Returns the largest number deleted from one table."""
        deletions: tuple[tuple[str, tuple[int | timedelta, ...]], ...] = (
            (SESSIONS, ()),
            (SPENT_TICKETS, (RETENTION_DAYS,)),
            (REFRESH_TOKENS, ()),
            (KNOWN_NETWORKS, (known_network_store.RETENTION_DAYS,)),
            (FREED_NUMBERS, (LIFETIME,)),
            (IMPORTED_SESSIONS, ()),
            (ABSENT_USERS, ()),
            (LOGIN_LIMITS, ()),
            (USER_CHANGES, ()),
        )
        return max([await self._delete(statement, limit, *kept) for statement, kept in deletions])

    async def _delete(self, statement: str, *arguments: int | timedelta) -> int:
        async with connection(self._pool) as conn:
            status = await conn.execute(statement, *arguments)
        return int(status.removeprefix("DELETE "))
