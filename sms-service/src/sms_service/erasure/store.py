"""Forgetting a number in PostgreSQL: ``verifications``, ``number_activity``, ``messages``, ``verification_events``."""

from datetime import datetime

from shared.events.envelope import new_id
from shared.postgres import Pool, transaction
from shared.sql import load_sql

FORGET = load_sql("sms_service.erasure", "forget.sql")

# The audit trail keeps that codes were checked, and not whose. A row says how many were emptied, for its seals.
EMPTY_EVENTS = "select erase_audit_rows($1, $2, $3)"
ADD_ERASURE = """
    insert into verification_events (id, at, kind, purpose, dialect, detail) values ($1, now(), 'erased', '', '', $2)
"""


class ErasureStore:
    """``consumer.ErasureRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def forget(self, phone_ref: int, erased_at: datetime) -> int:
        """Delete the verifications from before the erasure, and the networks of the number. Returns how many.

        Messages from before the erasure that still wait are not sent. Verification events from before it stay in the
        audit trail, without the number.
        """
        arguments = FORGET.arguments(phone_ref=phone_ref, erased_at=erased_at)
        async with transaction(self._pool) as conn:
            forgotten = int(await conn.fetchval(FORGET.text, *arguments))
            erasure = new_id()
            emptied = int(await conn.fetchval(EMPTY_EVENTS, phone_ref, erased_at, erasure))
            if emptied:
                await conn.execute(ADD_ERASURE, erasure, str(emptied))
        return forgotten
