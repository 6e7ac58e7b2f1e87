"""Test messages and balances in PostgreSQL: the tables ``test_messages`` and ``sender_balances``."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.internal_api.sms import Language
from shared.postgres import Pool, connection, transaction
from sms_service.sender_checks.test_messages import TestMessage
from sms_service.senders.port import Balance, SendResult

ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtext('test_messages'))"
ADD = """
    insert into test_messages (message_id, sender, phone_sealed, language)
    select $1, $2, $3, $4
    where (select count(*) from test_messages where requested_at > now() - interval '1 hour') < $5
    returning true
"""
TAKE = """
    with next_message as (
        select message_id from test_messages where taken_at is null and requested_at > now() - interval '15 seconds'
        order by requested_at limit 1 for update skip locked
    )
    update test_messages t set taken_at = now() from next_message n where t.message_id = n.message_id
    returning t.message_id, t.sender, t.phone_sealed, t.language
"""
FINISH = """
    update test_messages set finished_at = now(), outcome = $2, detail = $3, phone_sealed = null
    where message_id = $1
"""
END = "select outcome, detail from test_messages where message_id = $1 and finished_at is not null"
WITHDRAW = "delete from test_messages where message_id = $1 and taken_at is null returning true"
KEEP = """
    insert into sender_balances (sender, amount, unit) values ($1, $2, $3)
    on conflict (sender) do update set amount = excluded.amount, unit = excluded.unit, read_at = now()
"""
BALANCES = "select sender, amount, unit, read_at from sender_balances"


@dataclass(frozen=True)
class ReadBalance(Balance):
    """A balance, and when it was read."""

    read_at: datetime


class SenderCheckStore:
    """``TestMessageRepository`` and ``BalanceRepository`` of the worker, and what operators ask of both."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, message: TestMessage, *, per_hour: int) -> bool:
        """Let a worker send a test message; False if ``per_hour`` were added in the last hour."""
        async with transaction(self._pool) as conn:
            await conn.execute(ONE_AT_A_TIME)
            values = (message.message_id, message.sender, message.phone_sealed, message.language, per_hour)
            return await conn.fetchval(ADD, *values) is not None

    async def take(self) -> TestMessage | None:
        """The oldest test message that waits. No other worker gets it."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(TAKE)
        if row is None:
            return None
        return TestMessage(row["message_id"], row["sender"], row["phone_sealed"], Language(row["language"]))

    async def finish(self, message_id: UUID, result: SendResult) -> None:
        """Write how a test message ended, and forget its number."""
        async with connection(self._pool) as conn:
            await conn.execute(FINISH, message_id, result.outcome, result.detail)

    async def end_of(self, message_id: UUID) -> tuple[str, str] | None:
        """The outcome and the provider's error code; None while the message is not finished."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(END, message_id)
        return (row["outcome"], row["detail"]) if row else None

    async def withdraw(self, message_id: UUID) -> bool:
        """Delete a test message that no worker took; False if one did."""
        async with connection(self._pool) as conn:
            return await conn.fetchval(WITHDRAW, message_id) is not None

    async def keep(self, sender: str, balance: Balance) -> None:
        """Replace the balance of a sender."""
        async with connection(self._pool) as conn:
            await conn.execute(KEEP, sender, balance.amount, balance.unit)

    async def balances(self) -> dict[str, ReadBalance]:
        """The last balance of each sender that has one, by the sender's name."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(BALANCES)
        return {row["sender"]: ReadBalance(row["amount"], row["unit"], row["read_at"]) for row in rows}
