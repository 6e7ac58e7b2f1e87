"""Changes of number in PostgreSQL: accounts and spent tickets."""

from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg

from auth_service import audit_store
from auth_service.accounts.columns import KEPT, SHOWN, account_of, stored_account_of
from auth_service.accounts.model import AuditEntry, NewPhone, PhoneChangeState
from auth_service.lifecycle.registration import ConflictError, new_user_id
from shared import outbox
from shared.events import OutboxMessage
from shared.internal_api.auth import Account
from shared.internal_api.sms import Purpose
from shared.phone import E164
from shared.postgres import Connection, Pool, connection, transaction

# Two tickets were spent in one change when one user spent both in one transaction, in which now() stands still.
STATE = f"""
    select taken.user_id as taken_by,
        old.user_id is not null or new.user_id is not null as spent,
        coalesce(
            old.verification_id <> new.verification_id and old.spent_at = new.spent_at
            and old.user_id = $1 and new.user_id = $1,
            false
        ) as together,
        {KEPT}
    from (select 1) as always
    left join spent_tickets old on old.verification_id = $2
    left join spent_tickets new on new.verification_id = $3
    left join accounts taken on taken.phone = $4
    left join accounts a on a.user_id = $1
"""  # noqa: S608  our own list of columns

# An update cannot say "on conflict do nothing", and the key of a unique violation would be in PostgreSQL's log: a
# clear number. So the number is reserved first, by a row that nobody else ever sees: whoever wants the same number
# waits for this transaction, also once the row is gone again.
RESERVE = """
    insert into accounts (user_id, phone, nickname, dialect, client) values ($1, $2, '', '', '')
    on conflict do nothing returning user_id
"""
LET_GO = "delete from accounts where user_id = $1"

# Everything hangs on the account still being at the version that was judged.
CHANGE = f"""
    with a as (
        update accounts set phone = $3, version = version + 1, updated_at = now()
        where user_id = $1 and version = $2 and banned_at is null
        returning *
    ), spent as (
        insert into spent_tickets (verification_id, purpose, user_id)
        select ticket, $5, a.user_id from a, unnest($4::uuid[]) as ticket
    ), noted as (
        insert into audit_log (id, action, phone_ref, network, user_id, client, dialect)
        select $6, $7, $8, $9, user_id, $10, $11 from a
    ), told as (
        insert into outbox (id, exchange, routing_key, body)
        select m.* from a, unnest($12::uuid[], $13::text[], $14::text[], $15::bytea[]) as m
    )
    select {SHOWN} from a
"""  # noqa: S608  our own list of columns

FIND = """
    select old.verification_id
    from spent_tickets new join spent_tickets old
        on old.spent_at = new.spent_at and old.user_id = new.user_id and old.verification_id <> new.verification_id
    where new.verification_id = $2 and new.user_id = $1
"""


class PhoneChangeStore:
    """``numbers.PhoneChangeRepository`` over PostgreSQL. ``wake`` is called after each commit that left messages."""

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def change_state(self, user_id: int, tickets: tuple[UUID, UUID], phone: E164) -> PhoneChangeState:
        """The account, who has the number now, and what became of the tickets."""
        async with connection(self._pool) as session:
            row = await session.fetchrow(STATE, user_id, *tickets, phone)
        assert row is not None  # noqa: S101  "(select 1)" has exactly one row
        return PhoneChangeState(stored_account_of(row), row["taken_by"], row["spent"], row["together"])

    async def change(self, change: NewPhone, attempt: AuditEntry, messages: Sequence[OutboxMessage]) -> Account:
        """Spend both tickets and write number, audit and messages. Raises ``ConflictError``."""
        origin = attempt.origin
        try:
            async with transaction(self._pool) as session:
                await _reserve(session, change.phone)
                row = await session.fetchrow(
                    CHANGE,
                    change.user_id, change.version, change.phone, list(change.verification_ids), Purpose.CHANGE_PHONE,
                    *audit_store.columns(attempt), origin.client, origin.dialect,
                    *outbox.columns(messages),
                )  # fmt: skip
                if row is None:
                    raise ConflictError
        except asyncpg.UniqueViolationError as error:  # a ticket was spent meanwhile; its key is only an id
            raise ConflictError from error
        self._wake()
        return account_of(row)

    async def find_change(self, user_id: int, verification_id: UUID) -> UUID | None:
        """The verification spent in one change with the given one."""
        async with connection(self._pool) as session:
            found: UUID | None = await session.fetchval(FIND, user_id, verification_id)
        return found


async def _reserve(conn: Connection, phone: E164) -> None:
    """Make sure that the number is free until the transaction ends. Raises ``ConflictError``."""
    reserved = await conn.fetchval(RESERVE, new_user_id(), phone)
    if reserved is None:
        raise ConflictError
    await conn.execute(LET_GO, reserved)
