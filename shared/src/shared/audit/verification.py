"""Verifies an audit trail in PostgreSQL, in one snapshot: every seal, every row, and that no row is without a seal."""

from dataclasses import dataclass
from datetime import datetime

from shared.audit import store
from shared.audit.chain import Anchor, Chain
from shared.audit.snapshot import snapshot
from shared.audit.verifier import Break, Verifier
from shared.postgres import Connection, Pool

PAGE = 100
"""Seals that are read at a time, with their rows."""
MAX_WAITING = 100_000


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
        waiting = await store.read_unsealed(conn, chain.table, MAX_WAITING)
        broken = broken or verifier.finish(waiting)
    oldest = waiting[0]["at"] if waiting else None
    return Verification(verifier.rows, verifier.end, len(waiting), oldest, broken)


async def _first_break(conn: Connection, chain: Chain, verifier: Verifier) -> Break | None:
    cut_off, window_start = await store.read_cut_off(conn), None
    while seals := await store.read_seals(conn, verifier.end.number, PAGE):
        rows = await store.read_rows(conn, chain.table, [row_id for seal in seals for row_id in seal.ids])
        for seal in seals:
            if broken := verifier.add(seal, rows):
                return broken
        window_end = max(seal.last_at for seal in seals)
        window_end = window_end if cut_off is None else min(cut_off, window_end)
        if window_start is None or window_end > window_start:
            if row := await store.find_inserted(conn, chain.table, window_start, window_end):
                return Break("this row was inserted: no seal has it", None, row["id"], row["at"])
            window_start = window_end
    return None
