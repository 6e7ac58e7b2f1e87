"""Accounts and spent tickets in PostgreSQL."""

from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg

from auth_service import audit_store
from auth_service.accounts import events
from auth_service.accounts.columns import KEPT, SHOWN, account_of, stored_account_of
from auth_service.accounts.model import AuditEntry, EndedSession, NewAccount, NewSession, TicketState
from auth_service.accounts.usernames import name_key
from auth_service.lifecycle.registration import ConflictError
from shared import outbox
from shared.events import OutboxMessage
from shared.internal_api.auth import Account
from shared.internal_api.sms import Purpose
from shared.phone import E164
from shared.postgres import Pool, connection, transaction

HAVE = "select phone from accounts where phone = any ($1::text[])"

TICKET_STATE = f"""
    select t.user_id as spent_by, exists (select from accounts where name_key = $3) as name_taken, {KEPT}
    from (select 1) as always
    left join spent_tickets t on t.verification_id = $1
    left join accounts a on a.phone = $2
"""  # noqa: S608  our own list of columns

# One statement, so one transaction: all of it or nothing. A number or name that is taken is no error here, because
# PostgreSQL writes the key of a unique violation into its log; everything else hangs on the account's row. A spent
# ticket is one: it undoes the account, and its key is only an id.
ADD = f"""
    with a as (
        insert into accounts (user_id, phone, password_hash, nickname, client, dialect, name, name_key)
        values ($3, $4, $5, $18, $6, $7, $19, $20)
        on conflict do nothing
        returning *
    ), spent as (
        insert into spent_tickets (verification_id, purpose, user_id) select $1, $2, user_id from a
    ), opened as (
        insert into sessions (token_hash, session_id, user_id, client, dialect, expires_at)
        select $8, $9, user_id, $6, $7, now() + interval '30 days' from a
    ), noted as (
        insert into audit_log (id, action, user_id, phone_ref, client, dialect, network)
        select $10, $11, user_id, $12, $6, $7, $13 from a
    ), told as (
        insert into outbox (id, exchange, routing_key, body)
        select m.* from a, unnest($14::uuid[], $15::text[], $16::text[], $17::bytea[]) as m
    )
    select {SHOWN} from a
"""  # noqa: S608  our own list of columns

# The lock on the account comes first: a log-in that is being written is then seen by END_SESSIONS, and one that
# comes later finds another password_changed_at and is refused.
SPEND_AND_REPLACE = f"""
    with spent as (
        insert into spent_tickets (verification_id, purpose, user_id) values ($1, $2, $3)
    )
    update accounts as a
    set password_hash = $4, version = version + 1, updated_at = now(), last_login_at = now(), password_changed_at = now()
    where user_id = $3 and banned_at is null
    returning {SHOWN}
"""  # noqa: S608  our own list of columns

END_SESSIONS = "delete from sessions where user_id = $1 returning session_id, user_id, client"

OPEN = """
    insert into sessions (token_hash, session_id, user_id, client, dialect, expires_at)
    values ($1, $2, $3, $4, $5, now() + interval '30 days')
"""


class RegistrationStore:
    """``accounts.RegistrationRepository`` over PostgreSQL. ``wake`` is called after each commit that left messages."""

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def have(self, phones: Sequence[E164]) -> list[bool]:
        """Which of the numbers have an account, in their order."""
        async with connection(self._pool) as session:
            found = {row[0] for row in await session.fetch(HAVE, phones)}
        return [phone in found for phone in phones]

    async def ticket_state(self, verification_id: UUID, phone: E164, name: str | None) -> TicketState:
        """Whether the ticket was spent, who has its number, and whether the name is taken."""
        async with connection(self._pool) as session:
            row = await session.fetchrow(TICKET_STATE, verification_id, phone, _key(name))
        assert row is not None  # noqa: S101  "(select 1)" has exactly one row
        return TicketState(row["spent_by"], stored_account_of(row), row["name_taken"])

    async def add(
        self,
        verification_id: UUID,
        account: NewAccount,
        session: NewSession,
        attempt: AuditEntry,
        messages: Sequence[OutboxMessage],
    ) -> Account:
        """Spend the ticket and write account, session, audit and messages. Raises ``ConflictError``."""
        try:
            async with connection(self._pool) as conn:
                row = await conn.fetchrow(
                    ADD,
                    verification_id, Purpose.SIGN_UP, account.user_id, account.phone, account.password_hash,
                    account.origin.client, account.origin.dialect, session.token_hash, session.session_id,
                    *audit_store.columns(attempt),
                    *outbox.columns(messages),
                    account.nickname, account.name, _key(account.name),
                )  # fmt: skip
        except asyncpg.UniqueViolationError as error:
            raise ConflictError from error
        if row is None:
            raise ConflictError
        self._wake()
        return account_of(row)

    async def replace_password(
        self, verification_id: UUID, user_id: int, password_hash: str | None, session: NewSession, attempt: AuditEntry
    ) -> Account:
        """Spend the ticket, set the password_hash, end every session, open this one. Raises ``ConflictError``."""
        try:
            async with transaction(self._pool) as conn:
                row = await conn.fetchrow(
                    SPEND_AND_REPLACE, verification_id, Purpose.RESET_PASSWORD, user_id, password_hash
                )
                if row is None:  # banned, or gone, since it was looked at
                    raise ConflictError
                ended = [EndedSession(*row) for row in await conn.fetch(END_SESSIONS, user_id)]
                origin = session.origin
                await conn.execute(OPEN, session.token_hash, session.session_id, user_id, origin.client, origin.dialect)
                await audit_store.put(conn, attempt)
                await outbox.put(conn, _reset_messages(row["version"], ended, session))
        except asyncpg.UniqueViolationError as error:
            raise ConflictError from error
        self._wake()
        return account_of(row)


def _key(name: str | None) -> str | None:
    return None if name is None else name_key(name)


def _reset_messages(version: int, ended: Sequence[EndedSession], opened: NewSession) -> list[OutboxMessage]:
    return [
        events.password_changed(opened.user_id, version, "reset", len(ended)),
        *(events.session_revoked(session, "reset_password") for session in ended),
        events.session_opened(opened, "reset_password"),
    ]
