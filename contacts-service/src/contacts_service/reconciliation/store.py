"""The compared directory and the lease of a round, in PostgreSQL."""

import time
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from contacts_service.reconciliation.model import Difference, DirectoryRow
from shared.postgres import Pool, connection
from shared.sql import load_sql

COLUMNS = "user_id, phone_ref, nickname, avatar, visible, version"
PAGE = f"select {COLUMNS} from directory where user_id >= $1 order by user_id limit $2"  # noqa: S608  our own columns
ROWS = f"select {COLUMNS} from directory where user_id = any ($1::bigint[])"  # noqa: S608  as above

CORRECT = load_sql("contacts_service.reconciliation", "correct.sql")

ERASED_VERSION = 2**31 - 1
"""Above every version, so that no late event restores an erased user."""

BEGIN = """
    update job_leases set holder = $2, held_until = now() + make_interval(secs => $3)
    where name = $1 and due_at <= now() and (held_until <= now() or holder = $2)
    returning due_at
"""
EXTEND = """
    update job_leases set held_until = now() + make_interval(secs => $3)
    where name = $1 and holder = $2 and held_until > now()
    returning due_at
"""
END = """
    update job_leases set held_until = now(), due_at = now() + make_interval(secs => $3)
    where name = $1 and holder = $2
"""
RELEASE = "update job_leases set held_until = now() where name = $1 and holder = $2"

JOB = "reconciliation"


class ReconciliationStore:
    """``reconciler.ComparedDirectory``. Raises ``ServiceError(UNAVAILABLE)`` if PostgreSQL is down."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, first: int, size: int) -> Sequence[DirectoryRow]:
        """The rows from ``first`` on, by user id, with those of erased users."""
        async with connection(self._pool) as conn:
            return [DirectoryRow(*row) for row in await conn.fetch(PAGE, first, size)]

    async def rows(self, user_ids: Sequence[int]) -> Sequence[DirectoryRow]:
        """The rows of these users."""
        async with connection(self._pool) as conn:
            return [DirectoryRow(*row) for row in await conn.fetch(ROWS, user_ids)]

    async def correct(self, differences: Sequence[Difference]) -> set[int]:
        """Write what the accounts say, unless a row has changed since it was read. Returns the corrected users."""
        columns = map(list, zip(*map(_correction, differences), strict=True))
        names = ("user_ids", "seen_versions", "phone_refs", "nicknames", "avatars", "visibles", "versions", "times")
        arguments = CORRECT.arguments(**dict(zip(names, columns, strict=True)))
        async with connection(self._pool) as conn:
            return {row["user_id"] for row in await conn.fetch(CORRECT.text, *arguments)}


class RoundLeaseStore:
    """``reconciler.RoundLease``: one row that a replica holds for ``hold_seconds`` after its last sign of life."""

    def __init__(self, pool: Pool, holder: UUID, *, hold_seconds: float, interval_seconds: float) -> None:
        self._pool = pool
        self._holder = holder
        self._hold_seconds = hold_seconds
        self._interval_seconds = interval_seconds
        self._extended_at = 0.0

    async def begin(self) -> datetime | None:
        """Take the next round, and return when it was due. None if it is not due yet, or another replica has it."""
        return await self._hold(BEGIN)

    async def extend(self) -> bool:
        """Keep the round. False if it was lost. PostgreSQL is asked after a quarter of the time at the earliest."""
        if time.monotonic() - self._extended_at < self._hold_seconds / 4:
            return True
        return await self._hold(EXTEND) is not None

    async def end(self) -> None:
        """The round is over: the next one is due after the interval."""
        async with connection(self._pool) as conn:
            await conn.execute(END, JOB, self._holder, self._interval_seconds)

    async def release(self) -> None:
        """Let another replica begin: this one is stopping."""
        async with connection(self._pool) as conn:
            await conn.execute(RELEASE, JOB, self._holder)

    async def _hold(self, statement: str) -> datetime | None:
        asked_at = time.monotonic()
        async with connection(self._pool) as conn:
            due_at: datetime | None = await conn.fetchval(statement, JOB, self._holder, self._hold_seconds)
        self._extended_at = 0.0 if due_at is None else asked_at
        return due_at


def _correction(difference: Difference) -> tuple[object, ...]:
    seen_version = difference.row.version if difference.row else None
    if difference.account is None:
        return (difference.user_id, seen_version, None, "", "", False, ERASED_VERSION, None)
    user, version, changed_at = difference.account
    return (*user[:1], seen_version, *user[1:], version, changed_at)
