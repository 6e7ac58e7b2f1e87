"""The audit log in PostgreSQL: the table ``audit_log``. Its rows are only added."""

import time
from collections.abc import Callable
from uuid import UUID

from prometheus_client import Counter

from auth_service.audit import SAMPLED, AuditEntry
from shared.audit.log_throttle import LogThrottle
from shared.events.envelope import new_id
from shared.postgres import Connection, Pool, connection

UNPROVEN_PER_MINUTE = 600
"""How many tickets and tokens that prove nothing one process records. The counter has all of them."""
SAMPLED_PER_MINUTE = 600
"""How many entries of ``SAMPLED`` actions one process records, of each action, number and network one."""
UNPROVEN = Counter("haoma_unproven_total", "Refused tickets and tokens that prove nothing", ["action"])
MINUTE = 60.0

ADD = """
    insert into audit_log
        (id, action, phone_ref, user_id, network, client, dialect, session_id, detail, actor, reason)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
ERASE = "select erase_audit_rows($1, $2, $3)"


class AuditStore:
    """``audit.AuditLog`` over PostgreSQL."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._minute = 0
        self._unproven = 0
        self._sampled = LogThrottle(clock, max_sources=SAMPLED_PER_MINUTE)

    async def record(self, entry: AuditEntry) -> None:
        """Write one entry in a transaction of its own.

        Of a ``SAMPLED`` action one is written in a minute for each number and network, and ``SAMPLED_PER_MINUTE`` in
        all: anyone can cause those, as fast as they call.
        """
        source = f"{entry.action} {entry.phone_ref} {entry.context.network}"
        if entry.action.endswith(SAMPLED) and not self._sampled.allow(source):
            return
        async with connection(self._pool) as conn:
            await add_entry(conn, entry)

    async def record_unproven(self, entry: AuditEntry) -> None:
        """Write an entry about a ticket or token that proves nothing, at most ``UNPROVEN_PER_MINUTE``."""
        UNPROVEN.labels(entry.action).inc()
        minute = int(self._clock() / MINUTE)
        self._unproven = self._unproven + 1 if minute == self._minute else 1
        self._minute = minute
        if self._unproven <= UNPROVEN_PER_MINUTE:
            await self.record(entry)


async def add_entry(conn: Connection, entry: AuditEntry, entry_id: UUID | None = None) -> None:
    """Write one entry inside the caller's transaction."""
    context, operator = entry.context, entry.operator
    await conn.execute(
        ADD,
        entry_id or new_id(),
        entry.action,
        entry.phone_ref,
        entry.user_id,
        context.network,
        context.client,
        context.dialect,
        entry.session_id,
        entry.detail,
        operator.name if operator else "",
        operator.reason if operator else "",
    )


async def erase_entries(conn: Connection, user_id: int, phone_ref: int | None, erasure_id: UUID) -> int:
    """Empty the rows about an erased account and its number, if it has one, inside the caller's transaction.

    They then name the row with ``erasure_id``, which the caller adds. Returns how many there are.
    """
    return int(await conn.fetchval(ERASE, user_id, phone_ref, erasure_id))
