"""The audit log in PostgreSQL: the table ``audit_log``."""

from auth_service.audit import AuditEntry
from shared.events.envelope import new_id
from shared.postgres import Connection, Pool, connection

ADD = """
    insert into audit_log (id, action, phone_ref, user_id, network, client, dialect)
    values ($1, $2, $3, $4, $5, $6, $7)
"""


class AuditStore:
    """``audit.AuditLog`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def record(self, entry: AuditEntry) -> None:
        """Write one entry in a transaction of its own."""
        async with connection(self._pool) as conn:
            await add_entry(conn, entry)


async def add_entry(conn: Connection, entry: AuditEntry) -> None:
    """Write one entry inside the caller's transaction."""
    context = entry.context
    await conn.execute(
        ADD, new_id(), entry.action, entry.phone_ref, entry.user_id, context.network, context.client, context.dialect
    )
