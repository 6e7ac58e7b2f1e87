"""Accounts that lose their number, or get one again, in PostgreSQL: the account is locked before its sessions."""

from auth_service import audit_store
from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of
from auth_service.accounts.events import user_retired, user_updated
from auth_service.accounts.known_network_store import forget_networks
from auth_service.accounts.model import StoredAccount
from auth_service.accounts.phone_reservation_store import reserve_phone
from auth_service.audit import RESTORED, AuditEntry, Operator
from auth_service.client_context import OPERATOR, ClientContext
from auth_service.retirement.model import ConflictError
from auth_service.sessions.events import session_revoked
from auth_service.sessions.session_store import end_sessions
from shared import outbox
from shared.phone import E164, PhoneKeys
from shared.postgres import Connection, Pool, transaction

# The account is as it was read: a user who has logged in since, or who was banned, keeps the number.
RETIRE = """
    update accounts
    set phone = null, retired_at = now(), version = version + 1, updated_at = now(), tickets_valid_from = now()
    where user_id = $1 and phone = $2 and version = $3 and greatest(last_login_at, last_used_at) = $4
    returning user_id
"""

FIND = f"select {STORED_ACCOUNT} from accounts a where a.phone = $1"  # noqa: S608  our own list of columns

CONFIRM = "update accounts set last_used_at = now() where phone = $1 and banned_at is null returning user_id"

RESTORE = f"""
    update accounts a
    set phone = $2, retired_at = null, version = version + 1, updated_at = now(), last_used_at = now(),
        tickets_valid_from = now()
    where user_id = $1 and phone is null
    returning {STORED_ACCOUNT}
"""  # noqa: S608  our own list of columns


async def retire(
    conn: Connection,
    phones: PhoneKeys,
    account: StoredAccount,
    context: ClientContext,
    operator: Operator | None = None,
) -> None:
    """Take the number from an account, inside the caller's transaction. Raises ``ConflictError`` if it has changed.

    It keeps its id, password and profile. Its sessions and tickets end, and its networks are forgotten.
    """
    user_id, number = account.user_id, E164(account.account.phone)
    if await conn.fetchval(RETIRE, user_id, number, account.account.version, account.seen_at) is None:
        raise ConflictError
    ended = await end_sessions(conn, user_id, "retired", operator=operator.name if operator else "")
    await forget_networks(conn, user_id)
    entry = AuditEntry("account.retired", phones.ref(number), context, user_id, operator=operator)
    await audit_store.add_entry(conn, entry)
    revoked = (session_revoked(session, "retired") for session in ended)
    await outbox.put(conn, [user_retired(account, phones), *revoked])


class RetirementStore:
    """``retirement.RetirementRepository`` over PostgreSQL. The relay of the running service publishes the events."""

    def __init__(self, pool: Pool, phones: PhoneKeys, operator: Operator) -> None:
        self._pool = pool
        self._phones = phones
        self._operator = operator

    def _entry(self, action: str, number: E164, user_id: int) -> AuditEntry:
        return AuditEntry(action, self._phones.ref(number), OPERATOR, user_id, operator=self._operator)

    async def confirm(self, number: E164) -> int | None:
        """The user of the number counts as seen now. Returns their id; None without an account, or if it is banned."""
        async with transaction(self._pool) as conn:
            user_id: int | None = await conn.fetchval(CONFIRM, number)
            if user_id is not None:
                entry = self._entry("account.confirmed", number, user_id)
                await audit_store.add_entry(conn, entry)
        return user_id

    async def release(self, number: E164) -> int | None:
        """Retire the account of the number. Returns its user; None if there is none. Raises ``ConflictError``."""
        async with transaction(self._pool) as conn:
            account = stored_account_of(await conn.fetchrow(FIND, number))
            if account is None:
                return None
            await retire(conn, self._phones, account, OPERATOR, self._operator)
        return account.user_id

    async def restore(self, user_id: int, number: E164) -> bool:
        """Give a retired account this number. False if there is none. Raises ``ConflictError`` for a taken number."""
        async with transaction(self._pool) as conn:
            if not await reserve_phone(conn, number):
                raise ConflictError
            account = stored_account_of(await conn.fetchrow(RESTORE, user_id, number))
            if account is None:
                return False
            entry = self._entry(RESTORED, number, user_id)
            await audit_store.add_entry(conn, entry)
            await outbox.put(conn, [user_updated(account, self._phones)])
        return True
