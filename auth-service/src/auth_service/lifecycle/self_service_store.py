"""What a user does to his own account, in PostgreSQL. The lock on the account comes before that on any session."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from auth_service import audit_store
from auth_service.accounts import events
from auth_service.accounts.columns import KEPT, SHOWN, account_of, stored_account_of
from auth_service.accounts.model import AuditEntry, EndedSession, StoredAccount
from shared import outbox
from shared.internal_api.auth import Account, LivingSession
from shared.phone import E164, PhoneKeys
from shared.postgres import Connection, Pool, connection, transaction

FIND = f"select {SHOWN} from accounts a where a.user_id = $1 and a.banned_at is null"  # noqa: S608  our own columns

CHANGE_PROFILE = f"""
    update accounts as a set
        nickname = coalesce($2, nickname), gender = coalesce($3, gender), motto = coalesce($4, motto),
        avatar = coalesce($5, avatar), discoverable = coalesce($6, discoverable),
        version = version + 1, updated_at = now()
    where user_id = $1 and banned_at is null
    returning {KEPT}
"""  # noqa: S608  our own list of columns

REPLACE_VERIFIER = """
    update accounts
    set password_hash = $3, version = version + 1, updated_at = now(), password_changed_at = now()
    where user_id = $1 and password_changed_at = $2 and banned_at is null
    returning version
"""

ERASE = f"delete from accounts as a where user_id = $1 and banned_at is null returning {KEPT}"  # noqa: S608  our own columns

END_SESSIONS = """
    with ended as (
        delete from sessions
        where user_id = $1 and ($2::uuid is null or session_id = $2) and ($3::uuid is null or session_id <> $3)
        returning session_id, user_id, client
    ), dropped as (
        delete from refresh_tokens where session_id in (select session_id from ended)
    )
    select * from ended
"""

# What the audit knows of the user from now on: that there was somebody.
FORGET = """
    update audit_log set user_id = null, phone_ref = null, network = ''
    where user_id = $1 or (user_id is null and phone_ref = $2)
"""

SESSIONS = """
    select session_id, client, dialect, opened_at from sessions
    where user_id = $1 and expires_at > now() order by opened_at desc, session_id desc limit 100
"""

PROFILE = ("nickname", "gender", "motto", "avatar", "discoverable")


class SelfServiceStore:
    """``owners.SelfServiceRepository`` over PostgreSQL. ``wake`` is called after each commit that left messages."""

    def __init__(self, pool: Pool, phones: PhoneKeys, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._phones = phones
        self._wake = wake

    async def change_profile(self, user_id: int, changes: Mapping[str, object]) -> Account | None:
        """Set the columns and tell; ``None`` when there is no such account, or it is banned."""
        if not changes:
            return await self._find(user_id)
        async with transaction(self._pool) as conn:
            row = await conn.fetchrow(CHANGE_PROFILE, user_id, *(changes.get(column) for column in PROFILE))
            user = stored_account_of(row) if row else None
            if user is None:
                return None
            await outbox.put(conn, [events.updated(user, self._phones)])
        self._wake()
        return user.account

    async def _find(self, user_id: int) -> Account | None:
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(FIND, user_id)
        return account_of(row) if row else None

    async def change_password(self, held: StoredAccount, password_hash: str, keep: UUID, attempt: AuditEntry) -> bool:
        """Set the verifier and end every session but one; ``False`` when the password changed or a ban came."""
        user_id = held.account.user_id
        async with transaction(self._pool) as conn:
            version = await conn.fetchval(REPLACE_VERIFIER, user_id, held.password_changed_at, password_hash)
            if version is None:
                return False
            ended = await _end(conn, user_id, but=keep)
            await audit_store.put(conn, attempt)
            revoked = (events.session_revoked(session, "change_password") for session in ended)
            await outbox.put(conn, [events.password_changed(user_id, version, "change", len(ended)), *revoked])
        self._wake()
        return True

    async def erase(self, user_id: int, attempt: AuditEntry) -> bool:
        """Delete the account with all that belongs to it; ``False`` when there is none, or it is banned."""
        async with transaction(self._pool) as conn:
            row = await conn.fetchrow(ERASE, user_id)
            user = stored_account_of(row) if row else None
            if user is None:
                return False
            ended = await _end(conn, user_id)
            await conn.execute(FORGET, user_id, self._phones.ref(E164(user.account.phone)))
            await audit_store.put(conn, attempt)
            revoked = (events.session_revoked(session, "erased") for session in ended)
            await outbox.put(conn, [events.deleted(user, self._phones), *revoked])
        self._wake()
        return True

    async def sessions(self, user_id: int) -> Sequence[LivingSession]:
        """The user's living sessions, newest first."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(SESSIONS, user_id)
        return [LivingSession(**dict(row)) for row in rows]

    async def end_sessions(self, user_id: int, *, only: UUID | None = None, but: UUID | None = None) -> int:
        """End the user's sessions: one, or all but one. Returns how many ended."""
        async with transaction(self._pool) as conn:
            ended = await _end(conn, user_id, only=only, but=but)
            if not ended:
                return 0
            await outbox.put(conn, [events.session_revoked(session, "ended_by_user") for session in ended])
        self._wake()
        return len(ended)


async def _end(
    conn: Connection, user_id: int, *, only: UUID | None = None, but: UUID | None = None
) -> list[EndedSession]:
    return [EndedSession(*row) for row in await conn.fetch(END_SESSIONS, user_id, only, but)]
