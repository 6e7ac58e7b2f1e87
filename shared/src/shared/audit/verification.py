"""Verifies an audit trail in PostgreSQL, in one snapshot: every seal, every row, and that no row is without a seal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.audit import store
from shared.audit.chain import Anchor, Chain, Row
from shared.audit.snapshot import snapshot
from shared.audit.verifier import Break, Verifier
from shared.postgres import Connection, Pool

PAGE = 100
"""Seals that are read at a time, with their rows."""
MAX_WAITING = 100_000

# Rows newer than this may still get a seal.
CUT_OFF = f"select max(last_at) - interval '{store.LATE.total_seconds():.0f} seconds' from audit_seals"  # noqa: S608


@dataclass(frozen=True)
class Verification:
    """What was verified: how many rows and up to where; how many rows wait for a seal; and the first break."""

    rows: int
    end: Anchor
    waiting: int
    oldest_waiting: datetime | None
    broken: Break | None


async def verify(pool: Pool, chain: Chain, expected: Anchor | None = None) -> Verification:
    """Verify the trail of a chain up to its first break. ``expected`` is an anchor that was kept elsewhere."""
    async with snapshot(pool) as conn:
        verifier = Verifier(chain, await store.read_start(conn), expected)
        broken = verifier.begin() or await _first_break(conn, chain, verifier)
        waiting: Sequence[Any] = await conn.fetch(store.unsealed(chain.table), MAX_WAITING, timedelta())
        broken = broken or verifier.finish(waiting)
    oldest = waiting[0]["at"] if waiting else None
    return Verification(verifier.rows, verifier.end, len(waiting), oldest, broken)


async def _first_break(conn: Connection, chain: Chain, verifier: Verifier) -> Break | None:
    cut_off, window_start = await conn.fetchval(CUT_OFF), None
    while seals := await store.read_seals(conn, verifier.end.number, PAGE):
        rows = await _rows(conn, chain, [row_id for seal in seals for row_id in seal.ids])
        for seal in seals:
            if broken := verifier.add(seal, rows):
                return broken
        window_end = min(cut_off, max(seal.last_at for seal in seals))
        if window_start is None or window_end > window_start:
            if broken := await _unsealed_row(conn, chain, window_start, window_end):
                return broken
            window_start = window_end
    return None


async def _rows(conn: Connection, chain: Chain, ids: list[UUID]) -> dict[UUID, Row]:
    statement = f"select {chain.table.columns} from {chain.table.name} where id = any ($1::uuid[])"  # noqa: S608
    rows: Sequence[Any] = await conn.fetch(statement, ids)
    return {row["id"]: row for row in rows}


async def _unsealed_row(conn: Connection, chain: Chain, since: datetime | None, until: datetime) -> Break | None:
    """A row of this time that no seal has, although it is too old to get one."""
    statement = f"""
        with sealed as (
            select unnest(ids) as id from audit_seals
            where last_at >= coalesce($1::timestamptz, '-infinity') and first_at < $2
        )
        select id, at from {chain.table.name} as r
        where r.at >= coalesce($1::timestamptz, '-infinity') and r.at < $2
            and not exists (select from sealed where sealed.id = r.id)
        order by r.at, r.id limit 1
    """  # noqa: S608  our own table
    row: Any = await conn.fetchrow(statement, since, until)
    return None if row is None else Break("this row was inserted: no seal has it", None, row["id"], row["at"])
