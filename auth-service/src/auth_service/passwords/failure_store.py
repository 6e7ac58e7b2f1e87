"""Failed log-ins counted in PostgreSQL, in the same round trip that finds the account."""

from collections import deque
from collections.abc import Sequence

import structlog

from auth_service.accounts.columns import KEPT, stored_account_of
from auth_service.accounts.model import Bucket, CountedFailure, StartedCheck
from shared.errors import ServiceError
from shared.phone import E164
from shared.postgres import Pool, connection

# Rows are locked in one order, so that two log-ins never wait for each other in a ring. A full bucket is found
# twice: before charging (so that refused attempts charge nothing, and a guesser at one number does not use up his
# network's count), and after it, for those who raced to make the row.
BEGIN = f"""
    with asked as (
        select * from unnest($1::text[], $2::int[]) as asked (bucket, most)
    ), held as (
        select bucket, failures, resets_at from login_failures
        where bucket = any ($1::text[]) order by bucket for update
    ), charged as (
        insert into login_failures as f (bucket, failures, resets_at)
        select bucket, 1, now() + interval '15 minutes' from asked
        where not exists (
            select from held join asked using (bucket) where failures >= most and resets_at > now()
        )
        order by bucket
        on conflict (bucket) do update set
            failures = case when f.resets_at > now() then f.failures + 1 else 1 end,
            resets_at = case when f.resets_at > now() then f.resets_at else excluded.resets_at end
        returning bucket, failures, resets_at
    ), over as (
        select max(resets_at) as ends from (
            select resets_at from held join asked using (bucket) where failures >= most and resets_at > now()
                and not exists (select from charged)
            union all
            select resets_at from charged join asked using (bucket) where failures > most
        ) as blocked
    )
    select coalesce(ceil(extract(epoch from over.ends - now()))::int, 0) as wait,
        (select array_agg(bucket order by bucket) from charged) as buckets,
        (select array_agg(resets_at order by bucket) from charged) as windows,
        {KEPT}
    from over left join accounts a on a.phone = $3
"""  # noqa: S608  our own list of columns

REFUND = """
    with given_back as (
        select bucket, resets_at, count(*) as times
        from unnest($1::text[], $2::timestamptz[]) as c (bucket, resets_at) group by bucket, resets_at
    ), charged as (
        select f.bucket, times from login_failures f join given_back using (bucket, resets_at)
        order by f.bucket for update of f
    )
    update login_failures f set failures = greatest(f.failures - times, 0) from charged where f.bucket = charged.bucket
"""


MAX_OWED = 10_000
log = structlog.get_logger()


class LoginFailureStore:
    """``password_check.LoginFailureRepository`` over PostgreSQL.

    A charge that cannot be given back because PostgreSQL is away is owed: this process gives it back before it
    charges anything else.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._owed: deque[CountedFailure] = deque(maxlen=MAX_OWED)

    async def begin(self, phone: E164, buckets: Sequence[Bucket]) -> StartedCheck:
        """Charge every bucket, unless one is full, and find the account of the number."""
        if self._owed:
            await self.refund(())
        names, limits = [bucket.name for bucket in buckets], [bucket.most for bucket in buckets]
        async with connection(self._pool) as session:
            row = await session.fetchrow(BEGIN, names, limits, phone)
        assert row is not None  # noqa: S101  an aggregate has exactly one row
        charges = tuple(map(CountedFailure, row["buckets"] or (), row["windows"] or ()))
        return StartedCheck(row["wait"], stored_account_of(row), charges)

    async def refund(self, charges: Sequence[CountedFailure]) -> None:
        """Give charges back, and those that are owed, as far as their windows last."""
        due = [*self._owed, *charges]
        if not due:
            return
        self._owed.clear()
        try:
            async with connection(self._pool) as session:
                await session.execute(REFUND, [charge.bucket for charge in due], [charge.resets_at for charge in due])
        except ServiceError:
            self._owed.extend(due)
            log.warning("log_in.refund_owed", charges=len(due))
