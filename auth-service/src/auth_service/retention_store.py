"""What is cleared away from PostgreSQL: expired sessions, old tickets and refresh tokens, ended windows, old audit."""

from auth_service.tickets.spent_ticket_store import KEPT_DAYS
from shared.postgres import Pool, connection

# A row that another process is deleting, or a session being slid forward, is passed over.
SESSIONS = """
    delete from sessions where token_hash in (
        select token_hash from sessions where expires_at < now() limit $1 for update skip locked
    )
"""

TICKETS = """
    delete from spent_tickets where verification_id in (
        select verification_id from spent_tickets where spent_at < now() - make_interval(days => $2)
        limit $1 for update skip locked
    )
"""

# A refresh token not used for thirty days has outlived its session; a spent one is no longer told from a forged one.
REFRESH_TOKENS = """
    delete from refresh_tokens where token_hash in (
        select token_hash from refresh_tokens where expires_at < now() limit $1 for update skip locked
    )
"""

WINDOWS = """
    delete from login_failures where bucket in (
        select bucket from login_failures where resets_at < now() limit $1 for update skip locked
    )
"""

AUDIT = """
    delete from audit_log where id in (
        select id from audit_log where at < now() - make_interval(days => $2) limit $1 for update skip locked
    )
"""


class RetentionStore:
    """``purge.RetentionRepository`` over PostgreSQL. Audit rows are kept for ``audit_days``."""

    def __init__(self, pool: Pool, audit_days: int) -> None:
        self._pool = pool
        self._audit_days = audit_days

    async def purge(self, most: int) -> int:
        """Delete at most ``most`` rows of each kind. Returns the largest number deleted of one kind."""
        kinds: tuple[tuple[str, tuple[int, ...]], ...] = (
            (SESSIONS, ()),
            (TICKETS, (KEPT_DAYS,)),
            (REFRESH_TOKENS, ()),
            (WINDOWS, ()),
            (AUDIT, (self._audit_days,)),
        )
        return max([await self._delete(statement, most, *more) for statement, more in kinds])

    async def _delete(self, statement: str, *arguments: int) -> int:
        async with connection(self._pool) as session:
            status = await session.execute(statement, *arguments)
        return int(status.removeprefix("DELETE "))
