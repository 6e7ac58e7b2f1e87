"""The counters of log-ins in PostgreSQL: the table ``login_limits``."""

from collections import deque
from collections.abc import Sequence
from functools import partial

import asyncpg
import structlog

from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of, with_columns
from auth_service.accounts.known_network_store import RETENTION_DAYS
from auth_service.passwords.deadlocks import retried_after_deadlock
from auth_service.passwords.model import Bucket, CountedFailure, StartedCheck
from shared.errors import ServiceError
from shared.phone import E164
from shared.postgres import Pool, connection
from shared.sql import load_sql

START_CHECK = with_columns(load_sql("auth_service.passwords", "start_check.sql"), STORED_ACCOUNT)

REFUND = """
    with refunds as (
        select bucket, sum(each_takes) as refunded
        from unnest($1::text[], $2::interval[]) as refunds (bucket, each_takes) group by bucket
    ), locked_buckets as (
        select l.bucket, refunded from login_limits l join refunds using (bucket)
        order by l.bucket for update of l
    )
    update login_limits l set full_at = l.full_at - refunded
    from locked_buckets where l.bucket = locked_buckets.bucket
"""

MAX_POSTPONED = 10_000
"""Refunds kept while PostgreSQL is unavailable; beyond them the oldest are dropped."""

log = structlog.get_logger()


class LoginLimitStore:
    """``rate_limited_check.LoginLimitRepository`` over PostgreSQL.

    A refund that fails because PostgreSQL is unavailable is postponed: this process repeats it before its next check.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._postponed: deque[CountedFailure] = deque(maxlen=MAX_POSTPONED)

    async def start(self, phone: E164, buckets: Sequence[Bucket], known_network: int | None) -> StartedCheck:
        """Count a failure in every bucket, unless a narrow one is full, and find the account of the number."""
        if self._postponed:
            await self.refund(())
        arguments = START_CHECK.arguments(
            buckets=[bucket.name for bucket in buckets],
            intervals=[bucket.interval for bucket in buckets],
            periods=[bucket.period for bucket in buckets],
            is_wide=[bucket.is_wide for bucket in buckets],
            known_network=known_network,
            known_days=RETENTION_DAYS,
            phone=phone,
        )
        row = await retried_after_deadlock(partial(self._start, arguments))
        assert row is not None  # noqa: S101  an aggregate has exactly one row
        counted = set(row["counted_buckets"] or ())
        return StartedCheck(
            stored_account_of(row),
            row["retry_after"],
            row["known_only"],
            row["is_known"],
            [CountedFailure(bucket.name, bucket.interval) for bucket in buckets if bucket.name in counted],
        )

    async def _start(self, arguments: Sequence[object]) -> asyncpg.Record | None:
        async with connection(self._pool) as conn:
            return await conn.fetchrow(START_CHECK.text, *arguments)

    async def refund(self, counted: Sequence[CountedFailure]) -> None:
        """Take these and the postponed failures off their buckets."""
        due = [*self._postponed, *counted]
        if not due:
            return
        self._postponed.clear()
        buckets, intervals = [failure.bucket for failure in due], [failure.interval for failure in due]
        try:
            async with connection(self._pool) as conn:
                await conn.execute(REFUND, buckets, intervals)
        except ServiceError:
            self._postponed.extend(due)
            log.warning("login_limits.refund_postponed", failures=len(due))
