"""The users as contacts-service knows them, from the tables ``accounts`` and ``outbox``."""

from collections.abc import Sequence

import asyncpg

from shared.internal_api.directory import DirectoryUser, VersionedUser
from shared.phone import E164, PhoneKeys
from shared.postgres import Pool, connection

COLUMNS = """
    user_id, phone, nickname, avatar, discoverable and banned_at is null as visible, version,
    extract(epoch from updated_at)::float8 as changed_at
"""

PAGE = f"select {COLUMNS} from accounts where phone is not null and user_id between $1 and $2 order by user_id limit $3"  # noqa: S608  our own list of columns
FIND = f"select {COLUMNS} from accounts where phone is not null and user_id = any ($1::bigint[])"  # noqa: S608  as above

LATE = "select exists (select from outbox where parked_at is null and created_at < now() - interval '10 seconds')"


class UserStore:
    """``comparison.UserRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool, phones: PhoneKeys) -> None:
        self._pool = pool
        self._phones = phones

    async def are_events_late(self) -> bool:
        """Whether an event has waited in the outbox for 10 seconds. Parked ones do not count: they are lost."""
        async with connection(self._pool) as conn:
            return bool(await conn.fetchval(LATE))

    async def page(self, first: int, up_to: int, size: int) -> Sequence[VersionedUser]:
        """The users from ``first`` to ``up_to``, by user id."""
        async with connection(self._pool) as conn:
            return self._users(await conn.fetch(PAGE, first, up_to, size))

    async def find(self, user_ids: Sequence[int]) -> Sequence[VersionedUser]:
        """The users of these ids that have an account, in any order."""
        async with connection(self._pool) as conn:
            return self._users(await conn.fetch(FIND, user_ids))

    def _users(self, rows: Sequence[asyncpg.Record]) -> list[VersionedUser]:
        refs = self._phones.refs(E164(row["phone"]) for row in rows)
        return [
            VersionedUser(DirectoryUser(user_id, ref, nickname, avatar, visible), version, changed_at)
            for ref, (user_id, _, nickname, avatar, visible, version, changed_at) in zip(refs, rows, strict=True)
        ]
