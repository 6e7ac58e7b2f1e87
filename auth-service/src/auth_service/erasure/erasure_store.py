"""The erasure of accounts in PostgreSQL. It locks the account first, and its sessions after that."""

from collections.abc import Callable
from dataclasses import replace

from auth_service import audit_store
from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of
from auth_service.accounts.events import retired_user_deleted, user_deleted
from auth_service.accounts.known_network_store import forget_networks
from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry
from auth_service.changes.limit_store import forget_changes
from auth_service.client_context import ClientContext
from auth_service.sessions.events import session_revoked
from auth_service.sessions.session_store import end_sessions
from auth_service.tickets.freed_number_store import free_number
from shared import outbox
from shared.events.envelope import OutboxMessage, new_id
from shared.phone import E164, PhoneKeys
from shared.postgres import Connection, Pool, connection, transaction

FIND_STORED = f"select {STORED_ACCOUNT} from accounts a where a.user_id = $1"  # noqa: S608  our own columns

# It is the account whose user was verified: neither its number, nor its password, nor what ends tickets has changed.
ERASE = f"""
    delete from accounts as a
    where user_id = $1 and phone = $2 and password_changed_at = $3 and tickets_valid_from = $4 and banned_at is null
    returning {STORED_ACCOUNT}
"""  # noqa: S608  our own list of columns

ERASE_NUMBERED = f"delete from accounts as a where user_id = $1 and phone is not null returning {STORED_ACCOUNT}"  # noqa: S608  as above
ERASE_RETIRED = "delete from accounts where user_id = $1 and phone is null returning version, dialect, client"
FORGET_IMPORT = "update imported_accounts set user_id = null where user_id = $1"
FORGET_IMPORTED_SESSIONS = "delete from imported_sessions where user_id = $1"


class ErasureStore:
    """``erasure.ErasureRepository`` and ``fresh_proof.AccountRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, phones: PhoneKeys, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._phones = phones
        self._wake = wake

    async def find_stored(self, user_id: int) -> StoredAccount | None:
        """The account of this id."""
        async with connection(self._pool) as conn:
            return stored_account_of(await conn.fetchrow(FIND_STORED, user_id))

    async def erase(self, account: StoredAccount, entry: AuditEntry) -> bool:
        """Delete the account with all that belongs to it; False when it has changed since its user was verified."""
        verified = (account.account.phone, account.password_changed_at, account.tickets_valid_from)
        return await self._erase(account.user_id, entry, ERASE, *verified)

    async def erase_any(self, user_id: int, entry: AuditEntry) -> bool:
        """Delete the account, banned, retired or neither, as an operator decides; False when there is none."""
        return await self._erase(user_id, entry, ERASE_NUMBERED) or await self._erase_retired(user_id, entry)

    async def _erase(self, user_id: int, entry: AuditEntry, statement: str, *verified: object) -> bool:
        async with transaction(self._pool) as conn:
            stored = stored_account_of(await conn.fetchrow(statement, user_id, *verified))
            if stored is None:
                return False
            number = E164(stored.account.phone)
            await free_number(conn, self._phones, number)
            message = user_deleted(stored, self._phones)
            await _erase_traces(conn, user_id, self._phones.ref(number), entry, message)
        self._wake()
        return True

    async def _erase_retired(self, user_id: int, entry: AuditEntry) -> bool:
        """As above, for an account without a number: that of before is someone else's, and nothing there changes."""
        async with transaction(self._pool) as conn:
            row = await conn.fetchrow(ERASE_RETIRED, user_id)
            if row is None:
                return False
            message = retired_user_deleted(user_id, row["version"], ClientContext(row["dialect"], row["client"]))
            await _erase_traces(conn, user_id, None, entry, message)
        self._wake()
        return True


async def _erase_traces(
    conn: Connection, user_id: int, phone_ref: int | None, entry: AuditEntry, message: OutboxMessage
) -> None:
    """Delete what belongs to an account that has just been deleted, and publish that."""
    operator = entry.operator.name if entry.operator else ""
    ended = await end_sessions(conn, user_id, "erased", operator=operator)
    await forget_networks(conn, user_id)
    await forget_changes(conn, user_id)
    await conn.execute(FORGET_IMPORT, user_id)
    await conn.execute(FORGET_IMPORTED_SESSIONS, user_id)
    erasure_id = new_id()
    emptied = await audit_store.erase_entries(conn, user_id, phone_ref, erasure_id)
    await audit_store.add_entry(conn, replace(entry, detail=str(emptied)), erasure_id)
    await outbox.put(conn, [message, *(session_revoked(session, "erased") for session in ended)])
