"""Registration in PostgreSQL: the tables ``accounts`` and ``spent_tickets``."""

from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg

from auth_service.accounts.columns import ACCOUNT, STORED_ACCOUNT, account_of, stored_account_of, with_columns
from auth_service.accounts.model import NewAccount
from auth_service.accounts.usernames import name_key
from auth_service.audit import AuditEntry
from auth_service.lifecycle.redemption import ConflictError, TicketState
from auth_service.sessions.model import NewSession
from auth_service.sessions.session_store import session_arguments
from shared.events.envelope import OutboxMessage
from shared.internal_api.auth import Account
from shared.internal_api.sms import Purpose
from shared.phone import E164
from shared.postgres import Pool, connection
from shared.sql import load_sql

FIND_PHONES = "select phone from accounts where phone = any ($1::text[])"

TICKET_STATE = f"""
    select t.user_id as spent_by, exists (select from accounts where name_key = $3) as name_taken, {STORED_ACCOUNT}
    from (select 1) as always
    left join spent_tickets t on t.verification_id = $1
    left join accounts a on a.phone = $2
"""  # noqa: S608  our own list of columns

ADD_ACCOUNT = with_columns(load_sql("auth_service.lifecycle", "add_account.sql"), ACCOUNT)


class RegistrationStore:
    """``RedemptionRepository`` and ``RegistrationRepository`` over PostgreSQL.

    ``wake`` is called after each commit that left messages in the outbox.
    """

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def are_registered(self, phones: Sequence[E164]) -> list[bool]:
        """Whether each number has an account."""
        async with connection(self._pool) as conn:
            registered = {row[0] for row in await conn.fetch(FIND_PHONES, phones)}
        return [phone in registered for phone in phones]

    async def ticket_state(self, verification_id: UUID, phone: E164, name: str | None) -> TicketState:
        """The state of a ticket, of its number and of a username."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(TICKET_STATE, verification_id, phone, _key(name))
        assert row is not None  # noqa: S101  "(select 1)" has exactly one row
        return TicketState(row["spent_by"], stored_account_of(row), row["name_taken"])

    async def add(
        self,
        verification_id: UUID,
        account: NewAccount,
        session: NewSession,
        entry: AuditEntry,
        messages: Sequence[OutboxMessage],
    ) -> Account:
        """Spend the ticket and write account, session, audit entry and messages. Raises ``ConflictError``."""
        arguments = ADD_ACCOUNT.arguments(
            verification_id=verification_id,
            purpose=Purpose.SIGN_UP,
            user_id=account.user_id,
            phone=account.phone,
            password_hash=account.password_hash,
            nickname=account.nickname,
            name=account.name,
            name_key=_key(account.name),
            **session_arguments(session, entry, messages),
        )
        try:
            async with connection(self._pool) as conn:
                row = await conn.fetchrow(ADD_ACCOUNT.text, *arguments)
        except asyncpg.UniqueViolationError as error:
            raise ConflictError from error
        if row is None:
            raise ConflictError
        self._wake()
        return account_of(row)


def _key(name: str | None) -> str | None:
    return None if name is None else name_key(name)
