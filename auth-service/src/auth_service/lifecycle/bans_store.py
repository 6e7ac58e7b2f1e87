"""Bans in PostgreSQL: the tables ``accounts`` and ``sessions``."""

from collections.abc import Callable, Sequence
from datetime import datetime

from auth_service import audit_store
from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of
from auth_service.lifecycle.bans import CAUSE, MakeEntry, MakeMessages
from auth_service.sessions.session_store import end_sessions
from shared import outbox
from shared.postgres import Pool, connection, transaction

EXISTS = "select exists (select from accounts where user_id = $1 and phone is not null)"

# This locks the account. A log-in that is being written is then seen by end_sessions, and a later one finds the ban.
BAN = f"""
    update accounts as a
    set banned_at = coalesce(banned_at, now()), banned_until = $2, tickets_valid_from = now(),
        version = version + 1, updated_at = now()
    where user_id = $1 and phone is not null and (banned_at is null or banned_until is distinct from $2)
    returning {STORED_ACCOUNT}
"""  # noqa: S608  our own list of columns

UNBAN = f"""
    update accounts as a
    set banned_at = null, banned_until = null, version = version + 1, updated_at = now()
    where user_id = $1 and phone is not null and banned_at is not null and (banned_until <= now() or not $2)
    returning {STORED_ACCOUNT}
"""  # noqa: S608  as above

ENDED = "select user_id from accounts where banned_until <= now() and phone is not null order by banned_until limit $1"


class BansStore:
    """``bans.BanRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox. A command has no relay: that of the running
    service publishes them.
    """

    def __init__(self, pool: Pool, wake: Callable[[], None] = lambda: None) -> None:
        self._pool = pool
        self._wake = wake

    async def exists(self, user_id: int) -> bool:
        """Whether there is an account of this id."""
        async with connection(self._pool) as conn:
            return bool(await conn.fetchval(EXISTS, user_id))

    async def ban(
        self, user_id: int, until: datetime | None, make_entry: MakeEntry, make_messages: MakeMessages
    ) -> bool:
        """Ban the account and end its sessions; False when it is banned until then already."""
        async with transaction(self._pool) as conn:
            stored = stored_account_of(await conn.fetchrow(BAN, user_id, until))
            if stored is None:
                return False
            entry = make_entry(stored)
            operator = entry.operator.name if entry.operator else ""
            ended = await end_sessions(conn, user_id, CAUSE, operator=operator)
            await audit_store.add_entry(conn, entry)
            await outbox.put(conn, make_messages(stored, ended))
        self._wake()
        return True

    async def unban(
        self, user_id: int, make_entry: MakeEntry, make_messages: MakeMessages, *, only_if_ended: bool
    ) -> bool:
        """Lift the ban; False when there is none, or ``only_if_ended`` and its end is not over."""
        async with transaction(self._pool) as conn:
            stored = stored_account_of(await conn.fetchrow(UNBAN, user_id, only_if_ended))
            if stored is None:
                return False
            await audit_store.add_entry(conn, make_entry(stored))
            await outbox.put(conn, make_messages(stored, []))
        self._wake()
        return True

    async def ended_bans(self, limit: int) -> Sequence[int]:
        """The users whose ban has an end that is over, the first first."""
        async with connection(self._pool) as conn:
            return [row["user_id"] for row in await conn.fetch(ENDED, limit)]
