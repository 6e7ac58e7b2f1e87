"""The events about log-ins from PostgreSQL: the tables ``audit_log``, ``audit_readers`` and ``outbox``."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from auth_service.audit import IMPORTED
from auth_service.login_events.model import FAILURES, LOG_INS, REGISTERED, FailedLogins, UnfamiliarLogin
from shared import outbox
from shared.postgres import Connection, Pool, transaction
from shared.sql import Statement, load_sql

FAILED = load_sql("auth_service.login_events", "failed_logins.sql")
UNFAMILIAR = load_sql("auth_service.login_events", "unfamiliar_logins.sql")

# A row commits within seconds of its time, so what is older than ten seconds is complete. A turn reads one minute at
# most: a reader that was away, or a flood, does not make it longer than a statement may take.
BEGIN = """
    select read_until, least(
        date_trunc($2, now() - interval '10 seconds'), date_trunc($2, read_until + interval '1 minute')
    ) as read_to
    from audit_readers where name = $1 for update skip locked
"""
END = "update audit_readers set read_until = $2 where name = $1"

EventT = TypeVar("EventT", FailedLogins, UnfamiliarLogin)


class LoginEventStore:
    """``publisher.LoginEventRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def publish_failures(self, limit: int) -> int:
        """Put the failures of the minutes that are over into the outbox. Returns how many events there were to put."""
        return await self._publish(
            "failed_logins", "minute", FAILED, FailedLogins, actions=list(FAILURES), max_events=limit
        )

    async def publish_unfamiliar(self, limit: int) -> int:
        """Put the unfamiliar log-ins into the outbox. Returns how many events there were to put."""
        return await self._publish(
            "unfamiliar_logins",
            "second",
            UNFAMILIAR,
            UnfamiliarLogin,
            log_ins=list(LOG_INS),
            registered=REGISTERED,
            imported=IMPORTED,
            max_events=limit,
        )

    async def _publish(
        self, reader: str, unit: str, statement: Statement, make: type[EventT], **arguments: object
    ) -> int:
        async with transaction(self._pool) as conn:
            turn = await conn.fetchrow(BEGIN, reader, unit)
            if turn is None or turn["read_to"] <= turn["read_until"]:
                return 0
            rows = await self._read(conn, statement, turn["read_until"], turn["read_to"], arguments)
            await outbox.put(conn, [make(*row[1:]).event() for row in rows])
            await conn.execute(END, reader, turn["read_to"])
        if rows:
            self._wake()
        return rows[0]["total"] if rows else 0

    @staticmethod
    async def _read(
        conn: Connection, statement: Statement, since: datetime, until: datetime, arguments: dict[str, object]
    ) -> Sequence[Any]:
        return await conn.fetch(statement.text, *statement.arguments(since=since, until=until, **arguments))
