"""Reads the audit log for operators: the tables ``audit_log`` and ``accounts``. No clear number leaves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.audit.snapshot import snapshot
from shared.internal_api.operators.accounts import AuditRow
from shared.phone import E164, PhoneKeys, hide_numbers, mask
from shared.postgres import Pool

# Rows about a number: those that name it, and those of the user who has it now.
FIND = """
    select r.id, r.at, r.action, r.user_id, r.phone_ref, r.session_id, r.network, r.client, r.dialect, r.detail,
        r.actor, r.reason, r.erased_by, a.phone
    from audit_log r left join accounts a on a.user_id = r.user_id
    where ($1::bigint is null or r.phone_ref = $1 or r.user_id = (select user_id from accounts where phone = $2))
        and ($3::bigint is null or r.user_id = $3)
        and ($4::timestamptz is null or r.at >= $4)
        and ($5::text is null or r.actor = $5)
    order by r.at, r.id
    limit $6
"""


@dataclass(frozen=True)
class AuditFilter:
    """Which rows to read: those that match all that is not None."""

    number: E164 | None = None
    user_id: int | None = None
    since: datetime | None = None
    actor: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class ShownEntry:
    """A row of the audit log. ``masked`` is its number as its owner recognises it, if it is known."""

    id: UUID
    at: datetime
    action: str
    user_id: int | None
    phone_ref: int | None
    session_id: UUID | None
    network: str
    client: str
    dialect: str
    detail: str
    actor: str
    reason: str
    erased_by: UUID | None
    masked: str | None

    @property
    def row(self) -> AuditRow:
        """The row as it leaves the service. Numbers in texts of users are hidden."""
        return AuditRow(
            id=self.id,
            at=self.at,
            action=self.action,
            user_id=self.user_id,
            number=self.masked,
            session_id=self.session_id,
            network=self.network,
            dialect=self.dialect,
            client=hide_numbers(self.client),
            detail=self.detail,
            by=self.actor,
            reason=self.reason,
        )


class AuditReader:
    """Reads rows, oldest first."""

    def __init__(self, pool: Pool, phones: PhoneKeys) -> None:
        self._pool = pool
        self._phones = phones

    async def find(self, wanted: AuditFilter) -> Sequence[ShownEntry]:
        """The rows that match."""
        ref = None if wanted.number is None else self._phones.ref(wanted.number)
        async with snapshot(self._pool) as conn:
            rows: Sequence[Any] = await conn.fetch(
                FIND, ref, wanted.number, wanted.user_id, wanted.since, wanted.actor, wanted.limit
            )
        return [self._entry(row, wanted.number, ref) for row in rows]

    def _entry(self, row: Any, number: E164 | None, ref: int | None) -> ShownEntry:
        values = dict(row)
        return ShownEntry(masked=self._masked(values.pop("phone"), row["phone_ref"], number, ref), **values)

    def _masked(self, present: str | None, phone_ref: int | None, number: E164 | None, ref: int | None) -> str | None:
        """The number of a row: the one that was asked for, or the present one of its user."""
        if phone_ref is not None and phone_ref == ref and number is not None:
            return mask(number)
        if present is None:
            return None
        is_present = phone_ref is None or self._phones.ref(E164(present)) == phone_ref
        return mask(E164(present)) if is_present else None
