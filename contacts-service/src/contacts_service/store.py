"""The SQL statements of contacts-service."""

from collections.abc import Sequence
from datetime import datetime

from contacts_service.consumer import DirectoryEntry
from contacts_service.matching import Member
from shared.events.envelope import OutboxMessage
from shared.outbox import put
from shared.postgres import Pool, connection

APPLY = """
    insert into directory as stored (user_id, phone_ref, nickname, avatar, visible, version, occurred_at)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (user_id) do update set
        phone_ref = excluded.phone_ref, nickname = excluded.nickname, avatar = excluded.avatar,
        visible = excluded.visible, version = excluded.version, occurred_at = excluded.occurred_at,
        updated_at = now()
    where stored.version < excluded.version
    returning true
"""

# A number that moved from one user to another belongs to both until both events are applied. The later event decides,
# also when its user is hidden.
FIND = """
    select phone_ref, user_id, nickname, avatar
    from (
        select distinct on (phone_ref) phone_ref, user_id, nickname, avatar, visible
        from directory
        where phone_ref = any($1::bigint[])
        order by phone_ref, occurred_at desc, user_id
    ) as latest
    where visible
"""

NOW = "select now()"

PAGE = """
    select max(user_id), array_agg(phone_ref)
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
    """The directory and the outbox in PostgreSQL. Raises ``ServiceError(UNAVAILABLE)`` if PostgreSQL is down."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def apply(self, entry: DirectoryEntry) -> bool:
        """Store the entry if it is newer than the stored one. Returns whether it was."""
        async with connection(self._pool) as conn:
            applied = await conn.fetchval(
                APPLY,
                entry.user_id,
                entry.phone_ref,
                entry.nickname,
                entry.avatar,
                entry.visible,
                entry.version,
                entry.occurred_at,
            )
        return applied is not None

    async def gone(self, since: datetime, after: int, limit: int) -> list[int]:
        """The users above ``after`` who were erased, or lost their number, since then, by user id."""
        async with connection(self._pool) as conn:
            return [row["user_id"] for row in await conn.fetch(GONE, since, after, limit)]

    async def find(self, refs: Sequence[int]) -> list[Member]:
        """The visible users with these references, in any order."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(FIND, refs)
        return [Member(*row) for row in rows]

    async def now(self) -> datetime:
        """The database's clock."""
        async with connection(self._pool) as conn:
            clock: datetime = await conn.fetchval(NOW)
        return clock

    async def page(self, after: int, size: int) -> tuple[int, Sequence[int]]:
        """The last id and the references of the next ``size`` visible users; ``(0, ())`` at the end."""
        async with connection(self._pool) as conn:
            last, refs = await conn.fetchrow(PAGE, after, size) or (None, None)
        return last or 0, refs or ()

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

    async def publish(self, messages: Sequence[OutboxMessage]) -> None:
        """Add messages to the outbox. It is a single statement and so a transaction of its own."""
        async with connection(self._pool) as conn:
            await put(conn, messages)
