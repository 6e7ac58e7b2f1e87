"""Parked rows of the outbox: those that the broker refused too often."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.internal_api.operators.parked import ParkedItem, ParkedKind
from shared.parked.items import Content
from shared.postgres import Pool, connection

REASON = "the broker refused it: no queue of its routing key, or the queue is full"

COLUMNS = "id, exchange, routing_key, attempts, parked_at, length(body) as size, body"
LIST = f"select {COLUMNS} from outbox where parked_at is not null order by parked_at, id limit $1"  # noqa: S608  ours
COUNT = "select count(*) from outbox where parked_at is not null"
SHOW = f"select {COLUMNS} from outbox where parked_at is not null and id = $1"  # noqa: S608  ours
CHOSEN = """
    select id from outbox where parked_at is not null and (id = any ($1::uuid[]) or $2)
    order by parked_at, id limit $3 for update
"""
REPLAY = f"update outbox set parked_at = null, attempts = 0 where id in ({CHOSEN}) returning id"  # noqa: S608  ours
DROP = f"delete from outbox where id in ({CHOSEN}) returning id"  # noqa: S608  ours


class ParkedOutboxStore:
    """``items.ParkedSource`` over the outbox."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, limit: int) -> Sequence[ParkedItem]:
        """The oldest rows."""
        async with connection(self._pool) as conn:
            return [_item(row) for row in await conn.fetch(LIST, limit)]

    async def count(self) -> int:
        """How many are parked."""
        async with connection(self._pool) as conn:
            return int(await conn.fetchval(COUNT))

    async def show(self, item_id: UUID) -> Content | None:
        """The row with its body."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(SHOW, item_id)
        return Content(_item(row), row["body"]) if row else None

    async def replay(self, ids: Sequence[UUID], limit: int, *, everything: bool) -> int:
        """Let the relay publish the rows again."""
        return await self._settle(REPLAY, ids, everything, limit)

    async def drop(self, ids: Sequence[UUID], limit: int, *, everything: bool) -> int:
        """Delete the rows."""
        return await self._settle(DROP, ids, everything, limit)

    async def _settle(self, statement: str, *arguments: object) -> int:
        async with connection(self._pool) as conn:
            return len(await conn.fetch(statement, *arguments))


def _item(row: Any) -> ParkedItem:
    return ParkedItem(
        id=row["id"],
        kind=ParkedKind.OUTBOX,
        destination=f"{row['exchange']} {row['routing_key']}",
        reason=REASON,
        attempts=row["attempts"],
        since=row["parked_at"],
        size=row["size"],
    )
