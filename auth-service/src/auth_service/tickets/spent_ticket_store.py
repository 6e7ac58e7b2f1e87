"""Spent tickets in PostgreSQL, for who wants to know what became of a verification."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.internal_api.auth import SpentTicket, SpentTickets
from shared.postgres import Pool, connection

KEPT_DAYS = 1
"""A ticket lives for ten minutes; its spending is remembered for a day."""

# A session that is opened with a ticket is opened as it is spent, or in the next statement.
FIND = """
    select t.verification_id, t.purpose, t.user_id, t.spent_at, t.repeats,
        exists (
            select from sessions s
            where s.user_id = t.user_id and s.opened_at between t.spent_at and t.spent_at + interval '10 seconds'
        ) as session_lives
    from spent_tickets t where t.verification_id = any ($1::uuid[])
    order by t.spent_at
"""
KNOWN_SINCE = "select now() - make_interval(days => $1)"


class SpentTicketStore:
    """Reads spent tickets."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, verification_ids: Sequence[UUID]) -> SpentTickets:
        """Those of these verifications' tickets that were spent, oldest first."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(FIND, verification_ids)
            known_since: datetime = await conn.fetchval(KNOWN_SINCE, KEPT_DAYS)
        return SpentTickets(tickets=[SpentTicket(**row) for row in rows], known_since=known_since)
