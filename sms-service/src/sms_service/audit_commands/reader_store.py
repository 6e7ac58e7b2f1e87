"""Reads the audit trail of codes for operators: the table ``verification_events``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.audit.snapshot import snapshot
from shared.postgres import Pool

FIND = """
    select id, at, kind, phone_ref, verification_id, purpose, network, dialect, detail, retry_after, tries_left,
        erased_by
    from verification_events
    where ($1::bigint is null or phone_ref = $1) and ($2::timestamptz is null or at >= $2)
    order by at, id
"""


@dataclass(frozen=True)
class ShownEvent:
    """A row of the trail."""

    id: UUID
    at: datetime
    kind: str
    phone_ref: int | None
    verification_id: UUID | None
    purpose: str
    network: str
    dialect: str
    detail: str
    retry_after: int | None
    tries_left: int | None
    erased_by: UUID | None


async def find(pool: Pool, phone_ref: int | None, since: datetime | None) -> Sequence[ShownEvent]:
    """The rows that match all that is not None, oldest first."""
    async with snapshot(pool) as conn:
        rows: Sequence[Any] = await conn.fetch(FIND, phone_ref, since)
    return [ShownEvent(**dict(row)) for row in rows]
