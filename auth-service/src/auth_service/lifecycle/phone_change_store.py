"""Changes of number in PostgreSQL: the tables ``accounts``, ``spent_tickets`` and ``sessions``."""

from collections.abc import Callable
from uuid import UUID

import asyncpg

from auth_service import audit_store
from auth_service.accounts.columns import ACCOUNT, STORED_ACCOUNT, account_of, stored_account_of
from auth_service.accounts.known_network_store import remember_only
from auth_service.accounts.phone_reservation_store import reserve_phone
from auth_service.audit import AuditEntry
from auth_service.lifecycle.phone_change import CAUSE, NewPhone, PhoneChangeState
from auth_service.retirement.model import ConflictError
from auth_service.retirement.retirement_store import retire
from auth_service.sessions.events import session_revoked
from auth_service.sessions.session_store import end_sessions
from auth_service.tickets.freed_number_store import free_number
from shared import outbox
from shared.events.envelope import OutboxMessage
from shared.internal_api.auth import Account
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys
from shared.postgres import Pool, connection, transaction

# A row for the account and one for the account that has the new number, with the state of the tickets in each.
# Tickets that one user spent in one transaction have the same spent_at: now() is the start of the transaction.
STATE = f"""
    select old.user_id is not null or new.user_id is not null as spent,
        case
            when old.verification_id <> new.verification_id and old.spent_at = new.spent_at
                and old.user_id = $1 and new.user_id = $1
            then old.spent_at
        end as changed_at,
        f.freed_at, {STORED_ACCOUNT}
    from (select 1) as always
    left join spent_tickets old on old.verification_id = $2
    left join spent_tickets new on new.verification_id = $3
    left join freed_numbers f on f.mark = $4
    left join accounts a on a.user_id = $1 or a.phone = $5
"""  # noqa: S608  our own list of columns

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
            rows = await conn.fetch(STATE, user_id, *tickets, self._phones.mark(phone), phone)
        accounts = [account for account in map(stored_account_of, rows) if account is not None]
        return PhoneChangeState(
            account=next((each for each in accounts if each.user_id == user_id), None),
            owner=next((each for each in accounts if each.account.phone == phone), None),
            spent=rows[0]["spent"],
            changed_at=rows[0]["changed_at"],
            freed_at=rows[0]["freed_at"],
        )

    async def change(self, change: NewPhone, entry: AuditEntry, message: OutboxMessage) -> Account:
        """Spend both tickets, write the number and end the other sessions, or do nothing. Raises ``ConflictError``."""
        before, network_ref = change.account, change.context.network_ref
        user_id, tickets = before.user_id, list(change.verification_ids)
        try:
            async with transaction(self._pool) as conn:
                if change.retiring is not None:
                    await retire(conn, self._phones, change.retiring, change.context)
                if not await reserve_phone(conn, change.phone):
                    raise ConflictError
                values = (change.phone, tickets, Purpose.CHANGE_PHONE, before.tickets_valid_from, network_ref)
                row = await conn.fetchrow(CHANGE_PHONE, user_id, before.account.version, *values)
                if row is None:
                    raise ConflictError
                await remember_only(conn, user_id, change.context.known_network)
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
