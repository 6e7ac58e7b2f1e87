"""Registration in PostgreSQL: the tables ``accounts``, ``spent_tickets`` and ``known_networks``."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import asyncpg

from auth_service.accounts.columns import ACCOUNT, STORED_ACCOUNT, account_of, stored_account_of, with_columns
from auth_service.accounts.known_network_store import find_owners
from auth_service.accounts.model import NewAccount, NumberOwner, StoredAccount
from auth_service.accounts.usernames import name_key
from auth_service.audit import AuditEntry
from auth_service.lifecycle.redemption import TicketState
from auth_service.retirement.model import ConflictError
from auth_service.retirement.retirement_store import retire
from auth_service.sessions.model import NewSession
from auth_service.sessions.session_store import session_arguments
from shared.events.envelope import OutboxMessage, new_id
from shared.internal_api.auth import Account
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys
from shared.postgres import Pool, connection, transaction
from shared.sql import load_sql
from shared.tickets import MAX_REPEATS, REPEAT_WINDOW, Ticket

TICKET_STATE = f"""
    select t.user_id as spent_by, t.spent_at, f.freed_at,
        exists (select from accounts where name_key = $4) as name_taken, {STORED_ACCOUNT}
    from (select 1) as always
    left join spent_tickets t on t.verification_id = $1
    left join accounts a on a.phone = $2
    left join lateral (select max(freed_at) as freed_at from freed_numbers where mark in ($3, '')) as f on true
"""  # noqa: S608  our own list of columns

COUNT_REPEAT = """
    update spent_tickets set repeats = repeats + 1
    where verification_id = $1 and network = $2 and spent_at > now() - $3::interval and repeats < $4
    returning 1
"""

ADD_ACCOUNT = with_columns(load_sql("auth_service.lifecycle", "add_account.sql"), ACCOUNT)


class RegistrationStore:
    """``RedemptionRepository`` and ``RegistrationRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, phones: PhoneKeys, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._phones = phones
        self._wake = wake

    async def find_owners(self, phones: Sequence[E164]) -> Mapping[E164, NumberOwner]:
        """The owner of each number that has an account."""
        async with connection(self._pool) as conn:
            return await find_owners(conn, phones)

    async def ticket_state(self, verification_id: UUID, phone: E164, name: str | None) -> TicketState:
        """The state of a ticket, of its number and of a username."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(TICKET_STATE, verification_id, phone, self._phones.mark(phone), _key(name))
        assert row is not None  # noqa: S101  "(select 1)" has exactly one row
        account = stored_account_of(row)
        return TicketState(row["spent_by"], account, row["name_taken"], row["spent_at"], row["freed_at"])

    async def count_repeat(self, verification_id: UUID, network_ref: int) -> bool:
        """Count a repeat without a secret. False where it may not be repeated: elsewhere, too late, or too often."""
        async with connection(self._pool) as conn:
            counted = await conn.fetchval(COUNT_REPEAT, verification_id, network_ref, REPEAT_WINDOW, MAX_REPEATS)
        return counted is not None

    async def add(
        self,
        ticket: Ticket,
        account: NewAccount,
        session: NewSession,
        entry: AuditEntry,
        messages: Sequence[OutboxMessage],
        *,
        first_token_hash: bytes | None = None,
        retiring: StoredAccount | None = None,
    ) -> Account:
        """Spend the ticket and write all that belongs to the account. Raises ``ConflictError``."""
        arguments = ADD_ACCOUNT.arguments(
            verification_id=ticket.verification_id,
            ticket_issued_at=ticket.issued_at,
            network_ref=entry.context.network_ref,
            purpose=Purpose.SIGN_UP,
            user_id=account.user_id,
            phone=account.phone,
            number_mark=self._phones.mark(account.phone),
            password_hash=account.password_hash,
            nickname=account.nickname,
            name=account.name,
            name_key=_key(account.name),
            first_token_hash=first_token_hash,
            **session_arguments(session, entry, messages),
            grant_entry_id=new_id(),  # later than that of the account's entry
        )
        try:
            if retiring is None:
                async with connection(self._pool) as conn:
                    row = await conn.fetchrow(ADD_ACCOUNT.text, *arguments)
            else:
                row = await self._replace(retiring, entry, arguments)
        except asyncpg.UniqueViolationError as error:
            raise ConflictError from error
        if row is None:
            raise ConflictError
        self._wake()
        return account_of(row)

    async def _replace(
        self, retiring: StoredAccount, entry: AuditEntry, arguments: Sequence[object]
    ) -> "asyncpg.Record | None":
        """Retire the account that has the number, and add the new one, in one transaction."""
        async with transaction(self._pool) as conn:
            await retire(conn, self._phones, retiring, entry.context)
            row = await conn.fetchrow(ADD_ACCOUNT.text, *arguments)
            if row is None:
                raise ConflictError
        return row


def _key(name: str | None) -> str | None:
    return None if name is None else name_key(name)
