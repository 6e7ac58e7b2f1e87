"""The audit in PostgreSQL: one row per authentication attempt, with no number, address or secret in it."""

from uuid import UUID

from auth_service.accounts.model import AuditEntry
from shared.events import new_id
from shared.postgres import Connection, Pool, connection

INSERT = """
    insert into audit_log (id, action, phone_ref, network, user_id, client, dialect)
    values ($1, $2, $3, $4, $5, $6, $7)
"""


class AuditStore:
    """``sessions.Audit`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def record(self, attempt: AuditEntry) -> None:
        """Write one attempt on its own."""
        async with connection(self._pool) as session:
            await put(session, attempt)


async def put(connection: Connection, attempt: AuditEntry) -> None:
    """Write one attempt inside the caller's transaction."""
    origin = attempt.origin
    await connection.execute(INSERT, *columns(attempt), attempt.user_id, origin.client, origin.dialect)


def columns(attempt: AuditEntry) -> tuple[UUID, str, int | None, str]:
    """What an attempt has beyond its session: id, action, phone_ref, network; for statements that write both."""
    return new_id(), attempt.action, attempt.phone_ref, attempt.origin.network
