"""Bans in PostgreSQL: the tables ``accounts`` and ``sessions``."""

from auth_service import audit_store
from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of
from auth_service.lifecycle.bans import CAUSE, MakeEntry, MakeMessages
from auth_service.sessions.session_store import end_sessions
from shared import outbox
from shared.postgres import Pool, connection, transaction

EXISTS = "select exists (select from accounts where user_id = $1 and phone is not null)"

# This locks the account. A log-in that is being written is then seen by end_sessions, and a later one finds the ban.
SET_BANNED = f"""
    update accounts as a
    set banned_at = case when $2 then now() end, version = version + 1, updated_at = now(),
        tickets_valid_from = case when $2 then now() else tickets_valid_from end
    where user_id = $1 and phone is not null and (banned_at is not null) <> $2
    returning {STORED_ACCOUNT}
"""  # noqa: S608  our own list of columns


class BansStore:
    """``bans.BanRepository`` over PostgreSQL. The relay of the running service publishes what is in the outbox."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def exists(self, user_id: int) -> bool:
        """Whether there is an account of this id."""
        async with connection(self._pool) as conn:
            return bool(await conn.fetchval(EXISTS, user_id))

    async def set_banned(
        self, user_id: int, *, banned: bool, make_entry: MakeEntry, make_messages: MakeMessages
    ) -> bool:
        """Ban the account and end its sessions, or lift the ban; False when that is its state already."""
        async with transaction(self._pool) as conn:
            stored = stored_account_of(await conn.fetchrow(SET_BANNED, user_id, banned))
            if stored is None:
                return False
            entry = make_entry(stored)
            operator = entry.operator.name if entry.operator else ""
            ended = await end_sessions(conn, user_id, CAUSE, operator=operator) if banned else []
            await audit_store.add_entry(conn, entry)
            await outbox.put(conn, make_messages(stored, ended))
        return True
