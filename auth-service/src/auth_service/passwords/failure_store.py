"""The counters of failed log-ins in PostgreSQL: the table ``login_failures``."""

from collections import deque
from collections.abc import Sequence

import structlog

from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of, with_columns
from auth_service.passwords.model import Bucket, CountedFailure, StartedCheck
from shared.errors import ServiceError
from shared.phone import E164
from shared.postgres import Pool, connection
from shared.sql import load_sql

START_CHECK = with_columns(load_sql("auth_service.passwords", "start_check.sql"), STORED_ACCOUNT)

REFUND = """
    with refunds as (
        select bucket, resets_at, count(*) as times
        from unnest($1::text[], $2::timestamptz[]) as refunds (bucket, resets_at) group by bucket, resets_at
    ), locked_failures as (
        select f.bucket, times from login_failures f join refunds using (bucket, resets_at)
        order by f.bucket for update of f
    )
    update login_failures f set failures = greatest(f.failures - times, 0)
    from locked_failures where f.bucket = locked_failures.bucket
"""

MAX_POSTPONED = 10_000
"""Refunds kept while PostgreSQL is unavailable; beyond them the oldest are dropped."""

log = structlog.get_logger()


class LoginFailureStore:
    """``rate_limited_check.LoginFailureRepository`` over PostgreSQL.

    A refund that fails because PostgreSQL is unavailable is postponed: this process repeats it before its next check.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._postponed: deque[CountedFailure] = deque(maxlen=MAX_POSTPONED)

    async def start(self, phone: E164, buckets: Sequence[Bucket]) -> StartedCheck:
        """Count a failure in every bucket, unless one is full, and find the account of the number."""
        if self._postponed:
            await self.refund(())
        arguments = START_CHECK.arguments(
            buckets=[bucket.name for bucket in buckets],
            max_failures=[bucket.max_failures for bucket in buckets],
            phone=phone,
        )
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(START_CHECK.text, *arguments)
        assert row is not None  # noqa: S101  an aggregate has exactly one row
        counted = tuple(map(CountedFailure, row["counted_buckets"] or (), row["counted_windows"] or ()))
        return StartedCheck(row["retry_after"], stored_account_of(row), counted)

    async def refund(self, counted: Sequence[CountedFailure]) -> None:
        """Subtract these and the postponed failures, in so far as their windows still last."""
        due = [*self._postponed, *counted]
        if not due:
            return
        self._postponed.clear()
        buckets, windows = [failure.bucket for failure in due], [failure.resets_at for failure in due]
        try:
            async with connection(self._pool) as conn:
                await conn.execute(REFUND, buckets, windows)
        except ServiceError:
            self._postponed.extend(due)
            log.warning("login_failures.refund_postponed", failures=len(due))
