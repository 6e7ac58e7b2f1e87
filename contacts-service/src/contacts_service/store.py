"""The SQL statements of contacts-service."""

from collections.abc import Sequence
from datetime import datetime

from contacts_service.consumer import DirectoryEntry
from contacts_service.matching import Member
from shared.batching import KeyedBatcher
from shared.events.envelope import OutboxMessage
from shared.outbox import INSERT, columns
from shared.postgres import Pool, connection, is_rolled_back
from shared.sql import load_sql

APPLY = """
    insert into directory as stored (user_id, phone_ref, nickname, avatar, visible, version, occurred_at)
    select * from unnest(
        $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bool[], $6::int[], $7::timestamptz[]
    ) as entry (user_id, phone_ref, nickname, avatar, visible, version, occurred_at)
    order by user_id
    on conflict (user_id) do update set
        phone_ref = excluded.phone_ref, nickname = excluded.nickname, avatar = excluded.avatar,
        visible = excluded.visible, version = excluded.version, occurred_at = excluded.occurred_at,
        updated_at = now()
    where stored.version < excluded.version
    returning user_id
"""

MATCH = load_sql("contacts_service", "match.sql")

# Again, if it is not known whether the statement before it was committed.
PUT_ONCE = f"{INSERT} on conflict (id) do nothing"

NOW = "select now()"

# -1 until the table is analysed for the first time.
ESTIMATED_ROWS = "select greatest(reltuples, 0)::bigint from pg_class where oid = 'directory'::regclass"

PAGE = """
    select max(user_id), string_agg(int8send(phone_ref), ''::bytea)
    from (
        select user_id, phone_ref from directory where user_id > $1 and visible order by user_id limit $2
    ) as page
"""

CHANGED = """
    select now(), array_agg(phone_ref) filter (where visible) from directory where updated_at > $1
"""

GONE = """
    select user_id from directory
    where phone_ref is null and occurred_at >= $1 and user_id > $2
    order by user_id limit $3
"""

# "skip locked" passes over a row that another process deletes.
DELETE_ERASED = """
    delete from directory where user_id in (
        select user_id from directory
        where phone_ref is null and updated_at < now() - make_interval(days => $1)
        limit $2 for update skip locked
    )
"""


class Store:
    """The directory in PostgreSQL. Raises ``ServiceError(UNAVAILABLE)`` if PostgreSQL is down."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._apply = KeyedBatcher(self._apply_all, lambda entry: {entry.user_id}, is_rolled_back)

    async def apply(self, entry: DirectoryEntry) -> bool:
        """Store the entry if it is newer than the stored one. Returns whether it was."""
        return await self._apply(entry)

    async def _apply_all(self, entries: Sequence[DirectoryEntry]) -> list[bool]:
        columns = zip(
            *(
                (each.user_id, each.phone_ref, each.nickname, each.avatar, each.visible, each.version, each.occurred_at)
                for each in entries
            ),
            strict=True,
        )
        async with connection(self._pool) as conn:
            applied = {row["user_id"] for row in await conn.fetch(APPLY, *columns)}
        return [entry.user_id in applied for entry in entries]

    async def gone(self, since: datetime, after: int, limit: int) -> list[int]:
        """The users above ``after`` who were erased, or lost their number, since then, by user id."""
        async with connection(self._pool) as conn:
            return [row["user_id"] for row in await conn.fetch(GONE, since, after, limit)]

    async def find(self, refs: Sequence[int], *, user_id: int) -> dict[int, Member]:
        """The visible users with these references, by their references, without ``user_id``."""
        # As text, because asyncpg asks of each element of an array whether it is a list.
        arguments = MATCH.arguments(refs="{" + ",".join(map(str, refs)) + "}", user_id=user_id)
        async with connection(self._pool) as conn:
            found, *members = await conn.fetchrow(MATCH.text, *arguments) or (None,)
        return dict(zip(found, zip(*members, strict=True), strict=True)) if found else {}

    async def put(self, events: Sequence[OutboxMessage]) -> None:
        """Add events to the outbox; one that is there stays as it is."""
        async with connection(self._pool) as conn:
            await conn.execute(PUT_ONCE, *columns(events))

    async def now(self) -> datetime:
        """The database's clock."""
        async with connection(self._pool) as conn:
            clock: datetime = await conn.fetchval(NOW)
        return clock

    async def estimated_rows(self) -> int:
        """About how many rows the directory has, as far as PostgreSQL knows without counting them."""
        async with connection(self._pool) as conn:
            rows: int = await conn.fetchval(ESTIMATED_ROWS)
        return rows

    async def page(self, after: int, size: int) -> tuple[int, bytes]:
        """The last id and the references, 8 bytes each, of the next ``size`` visible users; ``(0, b"")`` at the end."""
        async with connection(self._pool) as conn:
            last, refs = await conn.fetchrow(PAGE, after, size) or (None, None)
        return last or 0, refs or b""

    async def changed(self, since: datetime) -> tuple[datetime, Sequence[int]]:
        """The database's clock, and the references of visible users whose rows changed after ``since``."""
        async with connection(self._pool) as conn:
            clock, refs = await conn.fetchrow(CHANGED, since) or (since, None)
        return clock, refs or ()

    async def delete_erased(self, days: int, limit: int) -> int:
        """Delete at most ``limit`` rows of users who were erased more than ``days`` ago. Returns how many."""
        async with connection(self._pool) as conn:
            status = await conn.execute(DELETE_ERASED, days, limit)
        return int(status.removeprefix("DELETE "))
