"""Recovery in PostgreSQL: the tables ``sessions``, ``accounts`` and ``freed_numbers``."""

from auth_service import audit_store
from auth_service.audit import BACKUP_RESTORED, AuditEntry, Operator
from auth_service.client_context import OPERATOR
from auth_service.sessions import events
from auth_service.sessions.session_store import end_any_sessions
from auth_service.tickets.freed_number_store import free_every_number
from shared import outbox
from shared.postgres import Pool, transaction

RENEW = """
    with chosen as (select user_id from accounts where user_id > $1 order by user_id limit $2 for update)
    update accounts a set tickets_valid_from = now(), version = a.version + $3
    from chosen where a.user_id = chosen.user_id
    returning a.user_id
"""


class RecoveryStore:
    """``recovery.RecoveryRepository`` over PostgreSQL. The running service publishes what it leaves in the outbox."""

    def __init__(self, pool: Pool, operator: Operator) -> None:
        self._pool = pool
        self._operator = operator

    async def refuse_tickets(self) -> None:
        """Let no ticket that was made before now open an account."""
        async with transaction(self._pool) as conn:
            await free_every_number(conn)

    async def end_sessions(self, limit: int) -> int:
        """End so many sessions, each with its refresh tokens, audit row and event. Returns how many there were."""
        async with transaction(self._pool) as conn:
            ended = await end_any_sessions(conn, limit, operator=self._operator.name)
            await outbox.put(conn, [events.session_revoked(session, "restored") for session in ended])
        return len(ended)

    async def renew_accounts(self, after: int, limit: int, jump: int) -> list[int]:
        """End the tickets of the next accounts above ``after``, and raise their versions. Returns their ids, sorted."""
        async with transaction(self._pool) as conn:
            rows = await conn.fetch(RENEW, after, limit, jump)
        return sorted(row["user_id"] for row in rows)

    async def record(self, sessions: int, accounts: int) -> None:
        """Write into the audit log that the database was restored."""
        detail = f"{sessions} sessions, {accounts} accounts"
        entry = AuditEntry(BACKUP_RESTORED, None, OPERATOR, detail=detail, operator=self._operator)
        async with transaction(self._pool) as conn:
            await audit_store.add_entry(conn, entry)
