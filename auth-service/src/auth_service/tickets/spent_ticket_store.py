"""Spent tickets in PostgreSQL, for ``explain``: the table ``spent_tickets``."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.internal_api.auth import SpentTicket, SpentTickets
from shared.postgres import Pool, connection

RETENTION_DAYS = 1
"""A ticket is valid for ten minutes; the record that it was spent is kept for a day."""

# A session that a ticket opens is opened in the statement that spends the ticket, or in the next one.
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
        """The spent tickets of these verifications, oldest first."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(FIND, verification_ids)
            known_since: datetime = await conn.fetchval(KNOWN_SINCE, RETENTION_DAYS)
        return SpentTickets(tickets=[SpentTicket(**row) for row in rows], known_since=known_since)
