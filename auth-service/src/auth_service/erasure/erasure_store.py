"""The erasure of accounts in PostgreSQL. It locks the account first, and its sessions after that."""

from collections.abc import Callable

from auth_service import audit_store
from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of
from auth_service.accounts.events import user_deleted
from auth_service.accounts.known_network_store import forget_networks
from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry
from auth_service.changes.limit_store import forget_changes
from auth_service.sessions.events import session_revoked
from auth_service.sessions.session_store import end_sessions
from auth_service.tickets.freed_number_store import free_number
from shared import outbox
from shared.phone import E164, PhoneKeys
from shared.postgres import Pool, connection, transaction

FIND_STORED = f"select {STORED_ACCOUNT} from accounts a where a.user_id = $1"  # noqa: S608  our own columns

# It is the account whose user was verified: neither its number, nor its password, nor what ends tickets has changed.
ERASE = f"""
    delete from accounts as a
    where user_id = $1 and phone = $2 and password_changed_at = $3 and tickets_valid_from = $4 and banned_at is null
    returning {STORED_ACCOUNT}
"""  # noqa: S608  our own list of columns

ANONYMISE_AUDIT_LOG = """
    update audit_log set user_id = null, phone_ref = null, network = ''
    where user_id = $1 or (user_id is null and phone_ref = $2)
"""


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
        user_id, verified = account.user_id, (account.password_changed_at, account.tickets_valid_from)
        async with transaction(self._pool) as conn:
            stored = stored_account_of(await conn.fetchrow(ERASE, user_id, account.account.phone, *verified))
            if stored is None:
                return False
            ended = await end_sessions(conn, user_id)
            number = E164(stored.account.phone)
            await forget_networks(conn, user_id)
            await forget_changes(conn, user_id)
            await free_number(conn, self._phones, number)
            await conn.execute(ANONYMISE_AUDIT_LOG, user_id, self._phones.ref(number))
            await audit_store.add_entry(conn, entry)
            revoked = (session_revoked(session, "erased") for session in ended)
            await outbox.put(conn, [user_deleted(stored, self._phones), *revoked])
        self._wake()
        return True
