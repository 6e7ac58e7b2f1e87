"""Forgetting a number in PostgreSQL: ``verifications``, ``number_activity`` and ``verification_events``."""

from datetime import datetime

from shared.events.envelope import new_id
from shared.postgres import Pool, transaction

# The number's row is locked first, as in every statement that changes a number. Its counts stay, so that erasing an
# account lifts no limit, and only the networks go. A code that was requested after the erasure is someone else's.
FORGET = """
    with forgotten_networks as (
        update number_activity set
            send_networks = array_fill(''::text, array[cardinality(sends)]),
            failure_networks = array_fill(''::text, array[cardinality(failures)]),
            version = version + 1
        where phone_ref = $1
            and not exists (select from verifications where phone_ref = $1 and created_at > $2)
        returning phone_ref
    ), forgotten_verifications as (
        delete from verifications v using (select count(*) from forgotten_networks) as after_networks
        where v.phone_ref = $1 and v.created_at <= $2
        returning 1
    )
    select count(*) from forgotten_verifications
"""

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

        Verification events from before it stay in the audit trail, without the number.
        """
        async with transaction(self._pool) as conn:
            forgotten = int(await conn.fetchval(FORGET, phone_ref, erased_at))
            erasure = new_id()
            emptied = int(await conn.fetchval(EMPTY_EVENTS, phone_ref, erased_at, erasure))
            if emptied:
                await conn.execute(ADD_ERASURE, erasure, str(emptied))
        return forgotten
