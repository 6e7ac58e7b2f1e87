"""Bytes that a row takes in each table, with its indexes: rows of real requests, multiplied with fresh keys."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from shared.postgres import url_of

TABLES = {
    "auth": ("accounts", "sessions", "refresh_tokens", "known_networks", "audit_log"),
    "sms": ("number_activity", "verifications", "verification_events", "messages", "attempts"),
    "contacts": ("directory",),
}
TEMPLATES = 500
"""Rows that are multiplied at most."""
COLUMNS = """
    select attname, atttypid::regtype::text as type,
        exists (select from pg_index where indrelid = attrelid and attnum = any (indkey)) as indexed
    from pg_attribute
    where attrelid = $1::text::regclass and attnum > 0 and not attisdropped
    order by attnum
"""
FRESH = {
    "uuid": "uuidv7()",
    "bytea": "sha256(uuidv7()::text::bytea)",
    "bigint": "140737488355328 + (random() * 8000000000000000)::bigint",
    "timestamp with time zone": "{column} - random() * interval '1 day'",
}
"""What an indexed column gets instead: an index of equal values would be too small."""
FRESH_BY_NAME = {
    "phone": "'+861' || lpad((random() * 1e10)::bigint::text, 10, '0')",
    "phone_ref": "('x' || left(md5(random()::text), 16))::bit(64)::bigint",
}
"""What these columns get, because their values are of a form: references are uniform over all 64 bits."""
SIZES = "select pg_table_size($1::text::regclass), pg_indexes_size($1::text::regclass)"


@dataclass(frozen=True)
class RowSize:
    """Bytes of one row."""

    table: str
    heap: float
    indexes: float

    @property
    def total(self) -> float:
        return self.heap + self.indexes


def _fresh(column: str, kind: str, *, indexed: bool) -> str:
    expression = FRESH_BY_NAME.get(column) or (FRESH.get(kind, column).format(column=column) if indexed else column)
    return f"case when {column} is not null then {expression} end"


async def _multiply(connection: asyncpg.Connection, table: str, rows: int) -> int:
    """Add ``rows`` rows, made of those that are there; returns how many were added."""
    columns = await connection.fetch(COLUMNS, table)
    names = ", ".join(column["attname"] for column in columns)
    values = ", ".join(_fresh(column["attname"], column["type"], indexed=column["indexed"]) for column in columns)
    there = await connection.fetchval(f"select count(*) from {table}")
    if not there:
        raise SystemExit(f"{table} has no row to multiply")
    status = await connection.execute(
        f"insert into {table} ({names}) select {values} from (select * from {table} limit {TEMPLATES}) as template "
        f"cross join generate_series(1, {rows // min(there, TEMPLATES)}) on conflict do nothing"
    )
    return int(status.rpartition(" ")[2])


async def measure(connection: asyncpg.Connection, table: str, rows: int) -> RowSize:
    """The size of a row of this table."""
    heap, indexes = await connection.fetchrow(SIZES, table)
    added = await _multiply(connection, table, rows)
    heap_after, indexes_after = await connection.fetchrow(SIZES, table)
    return RowSize(table, (heap_after - heap) / added, (indexes_after - indexes) / added)


async def all_sizes(postgres_url: str, rows: int) -> Mapping[str, RowSize]:
    """The size of a row of every table that grows with users or codes."""
    found: dict[str, RowSize] = {}
    for database, tables in TABLES.items():
        async with _connected(url_of(postgres_url, database)) as connection:
            found |= {table: await measure(connection, table, rows) for table in tables}
    return found


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
