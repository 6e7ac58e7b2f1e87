"""Users' changes to their own account in PostgreSQL. Each locks the account first, and its sessions after that."""

from collections.abc import Callable, Mapping

from auth_service import audit_store
from auth_service.accounts.columns import ACCOUNT, PROFILE_FIELDS, STORED_ACCOUNT, account_of, stored_account_of
from auth_service.accounts.events import password_changed, user_updated
from auth_service.accounts.known_network_store import remember_only
from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry
from auth_service.lifecycle.self_service import KeptSession
from auth_service.sessions.events import session_revoked
from auth_service.sessions.session_store import end_sessions
from auth_service.tokens.refresh_token_store import add_chain
from shared import outbox
from shared.events.envelope import new_id
from shared.internal_api.auth import Account
from shared.phone import PhoneKeys
from shared.postgres import Pool, connection, transaction

FIND = f"select {ACCOUNT} from accounts a where a.user_id = $1 and a.phone is not null and a.banned_at is null"  # noqa: S608  our own columns

ASSIGNMENTS = ", ".join(f"{field} = coalesce(${place}, {field})" for place, field in enumerate(PROFILE_FIELDS, start=2))
CHANGE_PROFILE = f"""
    with changed_account as (
        update accounts set {ASSIGNMENTS}, version = version + 1, updated_at = now()
        where user_id = $1 and phone is not null and banned_at is null
        returning *
    ), new_entry as (
        insert into audit_log (id, action, user_id, detail)
        select ${len(PROFILE_FIELDS) + 2}, 'change_profile.succeeded', user_id, ${len(PROFILE_FIELDS) + 3}
        from changed_account
    )
    select {STORED_ACCOUNT} from changed_account a
"""  # noqa: S608  our own list of columns

REPLACE_HASH = """
    update accounts
    set password_hash = $3, version = version + 1, updated_at = now(), password_changed_at = now(),
        tickets_valid_from = now()
    where user_id = $1 and password_changed_at = $2 and banned_at is null
    returning version
"""


class SelfServiceStore:
    """``self_service.SelfServiceRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, phones: PhoneKeys, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._phones = phones
        self._wake = wake

    async def change_profile(self, user_id: int, changes: Mapping[str, object]) -> Account | None:
        """Set these fields; None when there is no such account, or it is banned."""
        if not changes:
            return await self._find(user_id)
        async with transaction(self._pool) as conn:
            values = (changes.get(field) for field in PROFILE_FIELDS)
            stored = stored_account_of(
                await conn.fetchrow(CHANGE_PROFILE, user_id, *values, new_id(), _detail(changes))
            )
            if stored is None:
                return None
            await outbox.put(conn, [user_updated(stored, self._phones)])
        self._wake()
        return stored.account

    async def _find(self, user_id: int) -> Account | None:
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(FIND, user_id)
        return account_of(row) if row else None

    async def change_password(
        self, account: StoredAccount, password_hash: str, kept: KeptSession, entry: AuditEntry
    ) -> bool:
        """Set the hash and end every session but one; False when the password or the ban changed meanwhile."""
        user_id = account.user_id
        async with transaction(self._pool) as conn:
            version = await conn.fetchval(REPLACE_HASH, user_id, account.password_changed_at, password_hash)
            if version is None:
                return False
            await remember_only(conn, user_id, entry.context.known_network)
            ended = await end_sessions(conn, user_id, "change_password", but=kept.session_id)
            await add_chain(conn, kept.session_id, kept.refresh_token_hash, kept.generation)
            await audit_store.add_entry(conn, entry)
            revoked = (session_revoked(session, "change_password") for session in ended)
            await outbox.put(conn, [password_changed(user_id, version, "change", len(ended)), *revoked])
        self._wake()
        return True


def _detail(changes: Mapping[str, object]) -> str:
    """The names of the changed fields. Only of ``discoverable`` the value too: others are the user's own texts."""
    shown = {name: f"={value}".lower() if name == "discoverable" else "" for name, value in changes.items()}
    return " ".join(f"{name}{value}" for name, value in sorted(shown.items()))
