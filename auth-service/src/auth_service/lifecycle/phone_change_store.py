"""Changes of number in PostgreSQL: the tables ``accounts``, ``spent_tickets`` and ``sessions``."""

from collections.abc import Callable
from uuid import UUID

import asyncpg

from auth_service import audit_store
from auth_service.accounts.columns import ACCOUNT, STORED_ACCOUNT, account_of, stored_account_of
from auth_service.accounts.known_network_store import forget_networks, remember_network
from auth_service.accounts.user_ids import new_user_id
from auth_service.audit import AuditEntry
from auth_service.lifecycle.freed_number_store import free_number
from auth_service.lifecycle.phone_change import CAUSE, NewPhone, PhoneChangeState
from auth_service.lifecycle.redemption import ConflictError
from auth_service.sessions.events import session_revoked
from auth_service.sessions.session_store import end_sessions
from shared import outbox
from shared.events.envelope import OutboxMessage
from shared.internal_api.auth import Account
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys
from shared.postgres import Connection, Pool, connection, transaction

# Tickets that one user spent in one transaction have the same spent_at: now() is the start of the transaction.
STATE = f"""
    select taken.user_id as taken_by,
        old.user_id is not null or new.user_id is not null as spent,
        case
            when old.verification_id <> new.verification_id and old.spent_at = new.spent_at
                and old.user_id = $1 and new.user_id = $1
            then old.spent_at
        end as changed_at,
        f.freed_at, {STORED_ACCOUNT}
    from (select 1) as always
    left join spent_tickets old on old.verification_id = $2
    left join spent_tickets new on new.verification_id = $3
    left join accounts taken on taken.phone = $4
    left join freed_numbers f on f.mark = $5
    left join accounts a on a.user_id = $1
"""  # noqa: S608  our own list of columns

# An update has no "on conflict do nothing", and PostgreSQL logs the key of a unique violation: a clear number. So the
# number is reserved first, with a row that no other transaction ever sees. Other requests for the number wait for this
# transaction, even after the row is deleted.
RESERVE_PHONE = """
    insert into accounts (user_id, phone, nickname, dialect, client) values ($1, $2, '', '', '')
    on conflict do nothing returning user_id
"""
DELETE_RESERVATION = "delete from accounts where user_id = $1"

CHANGE_PHONE = f"""
    with changed_account as (
        update accounts set phone = $3, version = version + 1, updated_at = now(), tickets_valid_from = now()
        where user_id = $1 and version = $2 and tickets_valid_from = $6 and banned_at is null
        returning *
    ), new_spent_tickets as (
        insert into spent_tickets (verification_id, purpose, user_id, network)
        select verification_id, $5, user_id, $7 from changed_account, unnest($4::uuid[]) as verification_id
    )
    select {ACCOUNT} from changed_account a
"""  # noqa: S608  our own list of columns

FIND = """
    select old.verification_id
    from spent_tickets new join spent_tickets old
        on old.spent_at = new.spent_at and old.user_id = new.user_id and old.verification_id <> new.verification_id
    where new.verification_id = $2 and new.user_id = $1
"""


class PhoneChangeStore:
    """``phone_change.PhoneChangeRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, phones: PhoneKeys, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._phones = phones
        self._wake = wake

    async def change_state(self, user_id: int, tickets: tuple[UUID, UUID], phone: E164) -> PhoneChangeState:
        """The state of the account, of both tickets (the old number's first) and of the new number."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(STATE, user_id, *tickets, phone, self._phones.mark(phone))
        assert row is not None  # noqa: S101  "(select 1)" has exactly one row
        account = stored_account_of(row)
        return PhoneChangeState(account, row["taken_by"], row["spent"], row["changed_at"], row["freed_at"])

    async def change(self, change: NewPhone, entry: AuditEntry, message: OutboxMessage) -> Account:
        """Spend both tickets, write the number and end the other sessions, or do nothing. Raises ``ConflictError``."""
        before, network_ref = change.account, change.context.network_ref
        user_id, tickets = before.user_id, list(change.verification_ids)
        try:
            async with transaction(self._pool) as conn:
                await _reserve(conn, change.phone)
                values = (change.phone, tickets, Purpose.CHANGE_PHONE, before.tickets_valid_from, network_ref)
                row = await conn.fetchrow(CHANGE_PHONE, user_id, before.account.version, *values)
                if row is None:
                    raise ConflictError
                await forget_networks(conn, user_id)
                await remember_network(conn, user_id, change.context.known_network)
                await free_number(conn, self._phones, E164(before.account.phone))
                ended = await end_sessions(conn, user_id, CAUSE, but=change.kept_session_id)
                await audit_store.add_entry(conn, entry)
                await outbox.put(conn, [message, *(session_revoked(session, CAUSE) for session in ended)])
        except asyncpg.UniqueViolationError as error:  # a ticket was spent meanwhile; its key is only an id
            raise ConflictError from error
        self._wake()
        return account_of(row)

    async def find_change(self, user_id: int, verification_id: UUID) -> UUID | None:
        """The other verification that this user spent in the same change."""
        async with connection(self._pool) as conn:
            found: UUID | None = await conn.fetchval(FIND, user_id, verification_id)
        return found


async def _reserve(conn: Connection, phone: E164) -> None:
    """Keep the number free until the transaction ends. Raises ``ConflictError`` when an account has it."""
    reservation = await conn.fetchval(RESERVE_PHONE, new_user_id(), phone)
    if reservation is None:
        raise ConflictError
    await conn.execute(DELETE_RESERVATION, reservation)
