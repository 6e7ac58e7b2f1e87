"""All that the tables hold of one number: the SQL of explaining. It reads, and holds no lock."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from shared.internal_api.sms import Purpose
from shared.postgres import Pool, connection
from sms_service.delivery.ledger import MessageState
from sms_service.explain.history import AttemptRow, EventRow, History, MessageRow, VerificationRow
from sms_service.verification.audit_events import EventKind

# No index of sends leads from a number to all of its messages: carried ones are found by their attempts, those waiting
# and those that nobody carried by an index each that holds only such.
MESSAGES = """
    select message_id, verification_id, purpose, dialect, language, state, sender, failure,
        created_at, expires_at, finished_at
    from messages where created_at > now() - make_interval(days => $2) and message_id in (
        select message_id from attempts where phone_ref = $1
        union select message_id from messages where phone_ref = $1 and claimed_at is null and finished_at is not null
        union select message_id from messages where phone_ref = $1 and state in ('queued', 'sending')
    )
    order by created_at, message_id
"""
ATTEMPTS = """
    select message_id, sender, outcome, detail, provider_id, started_at, finished_at,
        receipt, receipt_detail, receipt_at
    from attempts where phone_ref = $1 and started_at > now() - make_interval(days => $2)
    order by started_at, number
"""
HAPPENINGS = """
    select verification_id, at, kind, purpose, dialect, detail, retry_after, tries_left
    from verification_events where phone_ref = $1 and at > now() - make_interval(days => $2)
    order by at, id
"""
VERIFICATIONS = "select verification_id, verified_at from verifications where phone_ref = $1"

OF_MESSAGE = "select phone_ref, verification_id from messages where message_id = $1"
OF_VERIFICATION = "select phone_ref, verification_id from verifications where verification_id = $1"

# A verification's first message is made in the same breath, and ids are in order of time.
OF_OLDER_VERIFICATION = """
    select phone_ref, verification_id from messages
    where message_id between $2 and $3 and verification_id = $1 limit 1
"""
BREATH_MS = 10_000
_BELOW_MILLISECONDS = 80
"""The bits of a UUIDv7 under its 48 of milliseconds."""
_LAST_MS = (1 << 48) - 1

SEALED = """
    select phone_sealed from verifications where phone_ref = $1
    union all select phone_sealed from messages where phone_ref = $1 and state in ('queued', 'sending')
    limit 1
"""

R = TypeVar("R", MessageRow, AttemptRow, EventRow, VerificationRow)


@dataclass(frozen=True)
class Subject:
    """Whose a message or verification is."""

    phone_ref: int
    verification_id: UUID


class HistoryStore:
    """``explain.HistoryRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def past(self, phone_ref: int, days: int) -> History:
        """What the last days left of a number, all of it as it was at one moment."""
        async with connection(self._pool) as conn:
            await conn.execute("begin isolation level repeatable read, read only")
            past = History(
                await conn.fetchval("select now()"),
                _rows(MessageRow, await conn.fetch(MESSAGES, phone_ref, days)),
                _rows(AttemptRow, await conn.fetch(ATTEMPTS, phone_ref, days)),
                _rows(EventRow, await conn.fetch(HAPPENINGS, phone_ref, days)),
                _rows(VerificationRow, await conn.fetch(VERIFICATIONS, phone_ref)),
            )
            await conn.execute("commit")
        return past

    async def whose(self, identity: UUID) -> Subject | None:
        """Whose message or verification this is."""
        around = _moments(identity)
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(OF_MESSAGE, identity) or await conn.fetchrow(OF_VERIFICATION, identity)
            if row is None and around is not None:
                row = await conn.fetchrow(OF_OLDER_VERIFICATION, identity, *around)
        return Subject(*row) if row else None

    async def sealed(self, phone_ref: int) -> bytes | None:
        """The number under its seal, where a row still has it."""
        async with connection(self._pool) as conn:
            sealed: bytes | None = await conn.fetchval(SEALED, phone_ref)
        return sealed


_KINDS: dict[str, type[Purpose] | type[MessageState] | type[EventKind]] = {
    "purpose": Purpose,
    "state": MessageState,
    "kind": EventKind,
}


def _rows(kind: type[R], rows: Sequence[asyncpg.Record]) -> list[R]:
    names = [field.name for field in fields(kind)]
    return [kind(**{name: _value(name, row[name]) for name in names}) for row in rows]


def _value(name: str, value: Any) -> Any:
    return _KINDS[name](value) if name in _KINDS else value


def _moments(identity: UUID) -> tuple[UUID, UUID] | None:
    """The ids between which one of ours was made with others, a breath before and after; None for another kind."""
    if identity.version != 7:
        return None
    made = identity.int >> _BELOW_MILLISECONDS
    least, most = max(0, made - BREATH_MS), min(_LAST_MS, made + BREATH_MS)
    return UUID(int=least << _BELOW_MILLISECONDS), UUID(int=most << _BELOW_MILLISECONDS)
