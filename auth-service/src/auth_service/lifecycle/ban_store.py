"""Bans in PostgreSQL."""

from auth_service import audit_store
from auth_service.accounts.columns import KEPT, SHOWN, account_of, stored_account_of
from auth_service.accounts.model import EndedSession, StoredAccount
from auth_service.lifecycle.bans import Note, Tell
from shared import outbox
from shared.internal_api.auth import Account
from shared.postgres import Pool, connection, transaction

FIND = f"select {SHOWN} from accounts a where a.user_id = $1"  # noqa: S608  our own list of columns

SET_BANNED = f"""
    update accounts as a
    set banned_at = case when $2 then now() end, version = version + 1, updated_at = now()
    where user_id = $1 and (banned_at is not null) <> $2
    returning {KEPT}
"""  # noqa: S608  our own list of columns

# The account is locked by then: a log-in that is being written is seen here, a later one finds the ban.
END_SESSIONS = "delete from sessions where user_id = $1 returning session_id, user_id, client"


class BanStore:
    """``bans.BanRepository`` over PostgreSQL. The running service's relay sends what is left in the outbox."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, user_id: int) -> Account | None:
        """The account of this id."""
        async with connection(self._pool) as session:
            row = await session.fetchrow(FIND, user_id)
        return account_of(row) if row else None

    async def set_banned(self, user_id: int, *, banned: bool, note: Note, tell: Tell) -> StoredAccount | None:
        """Shut or open the account, end its sessions, write what is noted and told."""
        async with transaction(self._pool) as session:
            row = await session.fetchrow(SET_BANNED, user_id, banned)
            user = stored_account_of(row) if row else None
            if user is None:
                return None
            ended = [EndedSession(*each) for each in await session.fetch(END_SESSIONS, user_id)] if banned else []
            await audit_store.put(session, note(user))
            await outbox.put(session, tell(user, ended))
        return user
