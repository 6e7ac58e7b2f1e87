"""Parked messages in PostgreSQL: the table ``parked_messages``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shared import outbox
from shared.amqp.consumer import FORGED
from shared.events.envelope import OutboxMessage, new_id
from shared.internal_api.operators.parked import ParkedItem, ParkedKind
from shared.parked.items import Content
from shared.postgres import Pool, connection, transaction

RETENTION_DAYS = 30

ADD = """
    insert into parked_messages (id, queue, body, reason, attempts)
    select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::int[])
    on conflict do nothing
"""
LIST = """
    select id, queue, reason, attempts, parked_at, length(body) as size
    from parked_messages where settled_at is null order by parked_at, id limit $1
"""
COUNT = "select count(*) from parked_messages where settled_at is null"
SHOW = """
    select id, queue, reason, attempts, parked_at, length(body) as size, body
    from parked_messages where settled_at is null and id = $1
"""

# The rows are locked in their order, so that two operators wait for each other and settle none twice.
SETTLE = """
    with chosen as (
        select id, queue, body from parked_messages
        where settled_at is null and (id = any ($1::uuid[]) or $2) and ($5::text is null or not starts_with(reason, $5))
        order by parked_at, id limit $3 for update
    ), settled as (
        update parked_messages m set settled_at = now(), outcome = $4, body = ''
        from chosen c where m.id = c.id
    )
    select queue, body from chosen
"""
PURGE = "delete from parked_messages where settled_at < now() - make_interval(days => $1)"


@dataclass(frozen=True)
class ParkedMessage:
    """A message of a parking queue. ``id`` is derived from all of it, so equal copies have equal ids."""

    id: UUID
    queue: str
    body: bytes = field(repr=False)
    reason: str
    attempts: int


class ParkedMessageStore:
    """``items.ParkedSource`` over the table. The relay publishes what is replayed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, messages: Sequence[ParkedMessage]) -> None:
        """Store messages of the queue. A copy of one that is stored, or was settled, changes nothing."""
        columns = zip(*((each.id, each.queue, each.body, each.reason, each.attempts) for each in messages), strict=True)
        async with connection(self._pool) as conn:
            await conn.execute(ADD, *map(list, columns))

    async def purge(self) -> None:
        """Forget the messages that were settled long ago."""
        async with connection(self._pool) as conn:
            await conn.execute(PURGE, RETENTION_DAYS)

    async def list(self, limit: int) -> Sequence[ParkedItem]:
        """The oldest messages."""
        async with connection(self._pool) as conn:
            return [_item(row) for row in await conn.fetch(LIST, limit)]

    async def count(self) -> int:
        """How many are parked."""
        async with connection(self._pool) as conn:
            return int(await conn.fetchval(COUNT))

    async def show(self, item_id: UUID) -> Content | None:
        """The message with its body."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(SHOW, item_id)
        return Content(_item(row), row["body"]) if row else None

    async def replay(self, ids: Sequence[UUID], limit: int, *, everything: bool) -> int:
        """Put the messages into the outbox, for their own queue, in the transaction that settles them.

        Not those that another service forged: they can only be dropped.
        """
        async with transaction(self._pool) as conn:
            rows = await conn.fetch(SETTLE, ids, everything, limit, "replayed", FORGED)
            await outbox.put(conn, [OutboxMessage(new_id(), row["queue"], row["queue"], row["body"]) for row in rows])
        return len(rows)

    async def drop(self, ids: Sequence[UUID], limit: int, *, everything: bool) -> int:
        """Settle the messages and forget their bodies."""
        async with connection(self._pool) as conn:
            return len(await conn.fetch(SETTLE, ids, everything, limit, "dropped", None))


def _item(row: Any) -> ParkedItem:
    return ParkedItem(
        id=row["id"],
        kind=ParkedKind.MESSAGE,
        destination=row["queue"],
        reason=row["reason"],
        attempts=row["attempts"],
        since=row["parked_at"],
        size=row["size"],
    )
