"""The accounts for an export, from the table ``accounts``: all as they were at one moment."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auth_service import audit_store
from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of
from auth_service.accounts.model import StoredAccount
from auth_service.audit import EXPORTED, AuditEntry, Operator
from auth_service.client_context import OPERATOR
from shared.audit.snapshot import snapshot
from shared.postgres import Connection, Pool, connection

PAGE_ROWS = 1_000
"""Accounts in memory at once."""

COUNTS = "select count(*) filter (where phone is not null), count(*) filter (where phone is null) from accounts"
DECLARE = f"""
    declare exported no scroll cursor for
    select {STORED_ACCOUNT}, a.banned_until from accounts as a where phone is not null order by user_id
"""  # noqa: S608  our own list of columns
FETCH = f"fetch {PAGE_ROWS} from exported"

ExportedUser = tuple[StoredAccount, datetime | None]
"""An account, and when its ban ends."""


@dataclass(frozen=True)
class Counts:
    """How many accounts there are at the moment of the export. Retired ones have no number."""

    accounts: int
    retired: int


class OpenExport:
    """The accounts at one moment."""

    def __init__(self, conn: Connection, counts: Counts) -> None:
        self.counts = counts
        self._conn = conn

    async def pages(self) -> AsyncIterator[Sequence[ExportedUser]]:
        """All accounts with a number, in the order of their ids, in pages."""
        await self._conn.execute(DECLARE)
        while rows := await self._conn.fetch(FETCH):
            yield [_user(row) for row in rows]


class ExportStore:
    """Opens exports. Raises ``ServiceError(UNAVAILABLE)``."""

    def __init__(self, pool: Pool, operator: Operator) -> None:
        self._pool = pool
        self._operator = operator

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[OpenExport]:
        """The accounts as they are now. The audit log knows of it before the first account is read."""
        async with snapshot(self._pool) as conn:
            row: Any = await conn.fetchrow(COUNTS)
            counts = Counts(*row)
            entry = AuditEntry(EXPORTED, None, OPERATOR, detail=str(counts.accounts), operator=self._operator)
            async with connection(self._pool) as recording:
                await audit_store.add_entry(recording, entry)
            yield OpenExport(conn, counts)


def _user(row: Any) -> ExportedUser:
    stored = stored_account_of(row)
    if stored is None:
        raise LookupError("an account without a number")  # the statement has none
    return stored, row["banned_until"]
