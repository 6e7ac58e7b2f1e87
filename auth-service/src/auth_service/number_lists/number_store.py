"""The numbers of the accounts in PostgreSQL: the tables ``accounts`` and ``audit_log``."""

from collections.abc import Sequence
from datetime import datetime

from auth_service.audit import BACKUP_RESTORED, NUMBER_GAINED
from auth_service.number_lists.number_lists import Gains
from shared.phone import E164
from shared.postgres import Pool, connection

PAGE = """
    select user_id, phone from accounts where user_id > $1 and phone is not null order by user_id limit $2
"""

# An index has the rows with these actions alone. reltuples is -1 until the table is analysed for the first time.
GAINED = f"""
    with entries as (
        select at, action, user_id from audit_log where at > $1 and action in {(*NUMBER_GAINED, BACKUP_RESTORED)}
    )
    select now() as now, array(
        select a.phone from entries e join accounts a using (user_id) where a.phone is not null limit $2
    ) as numbers, (
        select max(at) from entries where action = '{BACKUP_RESTORED}'
    ) as restored_at, (
        select greatest(reltuples, 0)::bigint from pg_class where oid = 'accounts'::regclass
    ) as estimated_accounts
"""  # noqa: S608  put together from constants


class NumberStore:
    """``number_lists.NumberRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, after: int, size: int) -> tuple[Sequence[E164], int | None]:
        """The numbers of the next users above ``after``, and the last of these users; None at the end."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(PAGE, after, size)
        return [E164(row["phone"]) for row in rows], rows[-1]["user_id"] if rows else None

    async def gained(self, since: datetime | None, limit: int) -> Gains:
        """At most ``limit`` of the numbers that accounts have got since then; none without a moment."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(GAINED, since, limit)
        assert row is not None  # noqa: S101  the statement always returns one row
        return Gains(row["now"], row["numbers"], row["restored_at"], row["estimated_accounts"])
