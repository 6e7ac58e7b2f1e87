"""Every SQL statement of contacts-service."""

from collections.abc import Sequence
from datetime import datetime

from contacts_service.consumer import Entry
from contacts_service.matching import Member
from shared.events import OutboxMessage
from shared.outbox import put
from shared.postgres import Pool, connection

APPLY = """
    insert into directory as held (user_id, phone_ref, nickname, avatar, visible, version, since)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (user_id) do update set
        phone_ref = excluded.phone_ref, nickname = excluded.nickname, avatar = excluded.avatar,
        visible = excluded.visible, version = excluded.version, since = excluded.since, updated_at = now()
    where held.version < excluded.version
    returning true
"""

# A number that has changed hands may stand under two users until both events are here: the later fact is the
# true one, also when it says that its user hides.
FIND = """
    select phone_ref, user_id, nickname, avatar
    from (
        select distinct on (phone_ref) phone_ref, user_id, nickname, avatar, visible
        from directory
        where phone_ref = any($1::bigint[])
        order by phone_ref, since desc, user_id
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


class Store:
    """The directory and the outbox in PostgreSQL. Raises ``ServiceError(UNAVAILABLE)`` when it is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def apply(self, entry: Entry) -> bool:
        """Keep the entry if it is newer than the one held, and say whether it was."""
        async with connection(self._pool) as session:
            applied = await session.fetchval(
                APPLY,
                entry.user_id,
                entry.phone_ref,
                entry.nickname,
                entry.avatar,
                entry.visible,
                entry.version,
                entry.since,
            )
        return applied is not None

    async def find(self, refs: Sequence[int]) -> list[Member]:
        """Who is visible under these references, in any order."""
        async with connection(self._pool) as session:
            rows = await session.fetch(FIND, refs)
        return [Member(*row) for row in rows]

    async def now(self) -> datetime:
        """The database's clock."""
        async with connection(self._pool) as session:
            clock: datetime = await session.fetchval(NOW)
        return clock

    async def page(self, after: int, size: int) -> tuple[int, Sequence[int]]:
        """References of the next ``size`` visible users, and the last of these users' id; (0, ()) at the end."""
        async with connection(self._pool) as session:
            last, refs = await session.fetchrow(PAGE, after, size) or (None, None)
        return last or 0, refs or ()

    async def changed(self, since: datetime) -> tuple[datetime, Sequence[int]]:
        """The database's clock, and references of visible users whose rows changed after ``since``."""
        async with connection(self._pool) as session:
            clock, refs = await session.fetchrow(CHANGED, since) or (since, None)
        return clock, refs or ()

    async def publish(self, messages: Sequence[OutboxMessage]) -> None:
        """Leave messages for the relay. One statement, so it is its own transaction."""
        async with connection(self._pool) as session:
            await put(session, messages)
