"""The audit chain in PostgreSQL: the tables ``audit_seals``, ``audit_chain``, ``job_leases`` beside an audit table."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, cast
from uuid import UUID

from shared.audit.chain import BEGINNING, Anchor, AuditTable, Chain, Row, Seal
from shared.audit.verifier import ChainStart
from shared.postgres import Connection, Pool, connection, transaction

LATE = timedelta(minutes=5)
"""A row that commits this long after its time, less the time of a turn, is still sealed. An older one without a seal
was not written by us."""
MAX_SEALS = 10
"""Seals that retention deletes in one statement, with their rows."""

TAKE_LEASE = """
    insert into job_leases as l (job, taken_at) select 'audit_seal', now()
    where not exists (select from job_leases where job = 'audit_seal' and taken_at > now() - $1::interval)
    on conflict (job) do update set taken_at = now() where l.taken_at <= now() - $1::interval
    returning true
"""
LAST_SEAL = """
    select number, hash, now() as now from audit_seals
    union all select start_number, start_hash, now() from audit_chain
    order by number desc limit 1
"""
ADD_SEAL = """
    insert into audit_seals (number, sealed_at, key_id, first_at, last_at, ids, digests, hash)
    values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (number) do nothing returning true
"""
SEAL_COLUMNS = "number, sealed_at, key_id, first_at, last_at, ids, digests, hash"
SEALS = f"select {SEAL_COLUMNS} from audit_seals where number > $1 order by number limit $2"  # noqa: S608  our columns
START = "select start_number, start_hash, key_id, proof from audit_chain"
OLDEST_SEALS = """
    select number, hash, last_at < now() - make_interval(days => $1) as is_old
    from audit_seals order by number limit $2
"""
OWN_PLAN = "set local plan_cache_mode = force_custom_plan"
"""For ``unsealed``: a plan for any window and limit expects few rows, and compares each with every seal."""
CUT_OFF = f"select max(last_at) - interval '{LATE.total_seconds():.0f} seconds' from audit_seals"  # noqa: S608  a number
DELETE_UNTIL = "select delete_audit_until($1, $2, $3, $4)"


def unsealed(table: AuditTable) -> str:
    """The rows without a seal, oldest first: at most ``$1``, not before ``$2``, and at least as old as ``$3``.

    So many of the oldest rows as have a seal, and ``$1`` more, contain them: a backlog of any size is not read for each
    seal. The planner must see the values: with those of a subquery it would read the whole table.
    """
    return f"""
        with sealed as (
            select unnest(ids) as id from audit_seals where last_at >= coalesce($2::timestamptz, '-infinity')
        ), oldest as (
            select {table.columns} from {table.name}
            where at >= coalesce($2::timestamptz, '-infinity') and at <= now() - $3::interval
            order by at, id limit $1 + (select count(*) from sealed)
        )
        select * from oldest as r where not exists (select from sealed where sealed.id = r.id)
        order by r.at, r.id limit $1
    """  # noqa: S608  our own table and columns


async def read_start(conn: Connection) -> ChainStart:
    """Where the chain starts."""
    row = await conn.fetchrow(START)
    if row is None or row["start_number"] == 0:
        return ChainStart(BEGINNING)
    return ChainStart(Anchor(row["start_number"], row["start_hash"]), row["key_id"], row["proof"])


async def read_seals(conn: Connection, after: int, limit: int) -> list[Seal]:
    """The seals behind a number, in order."""
    return [Seal(*row) for row in await conn.fetch(SEALS, after, limit)]


async def read_cut_off(conn: Connection) -> datetime | None:
    """Rows that are not older may still get a seal. None if nothing has one."""
    return cast("datetime | None", await conn.fetchval(CUT_OFF))


async def read_rows(conn: Connection, table: AuditTable, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """The rows with these ids."""
    statement = f"select {table.columns} from {table.name} where id = any ($1::uuid[])"  # noqa: S608  our own table
    rows: Sequence[Any] = await conn.fetch(statement, ids)
    return {row["id"]: row for row in rows}


async def read_unsealed(conn: Connection, table: AuditTable, limit: int) -> Sequence[Row]:
    """The rows that wait for a seal, oldest first."""
    rows: Sequence[Any] = await conn.fetch(unsealed(table), limit, await read_cut_off(conn), timedelta())
    return rows


async def find_inserted(conn: Connection, table: AuditTable, since: datetime | None, until: datetime) -> Row | None:
    """The first row of this time that no seal has, although it is too old to get one."""
    statement = f"""
        with sealed as (
            select unnest(ids) as id from audit_seals
            where last_at >= coalesce($1::timestamptz, '-infinity') and first_at < $2
        )
        select id, at from {table.name} as r
        where r.at >= coalesce($1::timestamptz, '-infinity') and r.at < $2
            and not exists (select from sealed where sealed.id = r.id)
        order by r.at, r.id limit 1
    """  # noqa: S608  our own table
    row: Any = await conn.fetchrow(statement, since, until)
    return cast("Row | None", row)


class ChainStore:
    """``sealing.ChainRepository`` over PostgreSQL. Any number of processes may use it at the same time."""

    def __init__(self, pool: Pool, chain: Chain) -> None:
        self._pool = pool
        self._chain = chain
        self._unsealed = unsealed(chain.table)

    async def take_turn(self, period: timedelta) -> bool:
        """Whether this process seals now: no other one did within ``period``."""
        async with connection(self._pool) as conn:
            return bool(await conn.fetchval(TAKE_LEASE, period))

    async def seal(self, limit: int, settle: timedelta, since: datetime | None = None) -> tuple[Anchor, Seal | None]:
        """Seal at most ``limit`` rows that are older than ``settle``, the oldest first.

        It looks for them among those of the last minutes, because some commit late, or among those since ``since``.
        Returns the end of the chain before, and the new seal; None if there was nothing to seal, or another process was
        faster.
        """
        async with transaction(self._pool) as conn:
            last = await conn.fetchrow(LAST_SEAL)
            if last is None:
                raise LookupError("audit_chain has no row")
            end = Anchor(last["number"], last["hash"])
            await conn.execute(OWN_PLAN)
            rows: Sequence[Any] = await conn.fetch(self._unsealed, limit, since or await read_cut_off(conn), settle)
            if not rows:
                return end, None
            seal = self._chain.seal(end, rows, last["now"])
            is_added = await conn.fetchval(ADD_SEAL, *(getattr(seal, field.name) for field in fields(Seal)))
        return end, seal if is_added else None

    async def delete_old(self, days: int) -> int:
        """Delete the oldest seals, with their rows, if all of their rows are older than ``days``.

        The start of the chain then says so. Returns how many seals.
        """
        async with transaction(self._pool) as conn:
            oldest = await conn.fetch(OLDEST_SEALS, days, MAX_SEALS)
            old = list(takewhile(lambda row: row["is_old"], oldest))
            if old:
                start, key_id = Anchor(old[-1]["number"], old[-1]["hash"]), self._chain.current
                proof = self._chain.proof(start, key_id)
                await conn.execute(DELETE_UNTIL, start.number, start.hash, key_id, proof)
        return len(old)
