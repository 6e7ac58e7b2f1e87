"""Forgetting a number in PostgreSQL: the tables ``verifications`` and ``number_activity``."""

from datetime import datetime

from shared.postgres import Pool, connection

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


class ErasureStore:
    """``consumer.ErasureRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def forget(self, phone_ref: int, erased_at: datetime) -> int:
        """Delete the verifications from before the erasure, and the networks of the number. Returns how many."""
        async with connection(self._pool) as conn:
            return int(await conn.fetchval(FORGET, phone_ref, erased_at))
