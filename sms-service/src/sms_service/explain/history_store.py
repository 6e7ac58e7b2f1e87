"""The SQL that reads all rows of one number. It locks nothing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from shared.internal_api.sms import AccountNotice, Purpose
from shared.postgres import Pool, connection
from sms_service.delivery.ledger import MessageState
from sms_service.explain.history import (
    RECENT_MINUTES,
    AttemptRow,
    EventRow,
    History,
    MessageRow,
    SampledRefusals,
    VerificationRow,
)
from sms_service.retention import first_id
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED
from sms_service.verification.audit_events import CALLER, EventKind

# No index leads from a number to all of its messages. Attempts lead to the messages that a sender was called for, and
# two small partial indexes to the unfinished ones and to those that ended without an attempt.
MESSAGES = """
    select message_id, verification_id, purpose, dialect, language, state, sender, failure,
        created_at, expires_at, finished_at, notice
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
VERIFICATION_EVENTS = """
    select verification_id, at, kind, purpose, dialect, detail, retry_after, tries_left
    from verification_events where phone_ref = $1 and at > now() - make_interval(days => $2)
    order by at, id
"""
VERIFICATIONS = "select verification_id, verified_at from verifications where phone_ref = $1"

# Ids are in order of time, and no index has the times of all numbers.
SAMPLED_REFUSALS = """
    select count(*) filter (where detail = $2) as callers, count(*) filter (where detail <> $2) as spending
    from verification_events where id >= $1 and kind = 'refused' and detail = any ($3::text[])
"""

BY_MESSAGE = "select phone_ref, verification_id from messages where message_id = $1"
BY_VERIFICATION = "select phone_ref, verification_id from verifications where verification_id = $1"

# Only messages still name a verification that a newer one has replaced. Ids are in order of time, and the first message
# of a verification is made together with it.
BY_REPLACED_VERIFICATION = """
    select phone_ref, verification_id from messages
    where message_id between $2 and $3 and verification_id = $1 limit 1
"""
MAX_ID_DISTANCE_MS = 10_000
"""The ids of a verification and of its first message differ by less than this."""
_TIMESTAMP_SHIFT = 80
"""A UUIDv7 begins with 48 bits of milliseconds; 80 bits follow (RFC 9562)."""
_MAX_MS = (1 << 48) - 1

SEALED_NUMBER = """
    select phone_sealed from verifications where phone_ref = $1
    union all select phone_sealed from messages where phone_ref = $1 and state in ('queued', 'sending')
    limit 1
"""

R = TypeVar("R", MessageRow, AttemptRow, EventRow, VerificationRow)


@dataclass(frozen=True)
class Subject:
    """The number and the verification that an id belongs to."""

    phone_ref: int
    verification_id: UUID


class HistoryStore:
    """``explain.HistoryRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def history(self, phone_ref: int, days: int) -> History:
        """The rows of a number from the last ``days`` days, in one snapshot."""
        async with connection(self._pool) as conn:
            await conn.execute("begin isolation level repeatable read, read only")
            history = History(
                await conn.fetchval("select now()"),
                _rows(MessageRow, await conn.fetch(MESSAGES, phone_ref, days)),
                _rows(AttemptRow, await conn.fetch(ATTEMPTS, phone_ref, days)),
                _rows(EventRow, await conn.fetch(VERIFICATION_EVENTS, phone_ref, days)),
                _rows(VerificationRow, await conn.fetch(VERIFICATIONS, phone_ref)),
            )
            await conn.execute("commit")
        return history

    async def sampled_refusals(self) -> SampledRefusals:
        """The refusals by limits on callers and by spending that were kept in the last ``RECENT_MINUTES``."""
        since = first_id(time.time(), RECENT_MINUTES / (24 * 60))
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(SAMPLED_REFUSALS, since, CALLER, [CALLER, BUDGET_EXHAUSTED, PREFIX_BLOCKED])
        return SampledRefusals(**row) if row else SampledRefusals()

    async def subject(self, message_or_verification_id: UUID) -> Subject | None:
        """The number that a message or verification belongs to; None for an unknown id."""
        neighbours = _ids_around(message_or_verification_id)
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(BY_MESSAGE, message_or_verification_id)
            row = row or await conn.fetchrow(BY_VERIFICATION, message_or_verification_id)
            if row is None and neighbours is not None:
                row = await conn.fetchrow(BY_REPLACED_VERIFICATION, message_or_verification_id, *neighbours)
        return Subject(*row) if row else None

    async def sealed_number(self, phone_ref: int) -> bytes | None:
        """The encrypted number, if a row still has it."""
        async with connection(self._pool) as conn:
            sealed: bytes | None = await conn.fetchval(SEALED_NUMBER, phone_ref)
        return sealed


_ENUMS: dict[str, type[Purpose] | type[MessageState] | type[EventKind] | type[AccountNotice]] = {
    "purpose": Purpose,
    "state": MessageState,
    "kind": EventKind,
    "notice": AccountNotice,
}


def _rows(row_type: type[R], records: Sequence[asyncpg.Record]) -> list[R]:
    names = [field.name for field in fields(row_type)]
    return [row_type(**{name: _value(name, record[name]) for name in names}) for record in records]


def _value(name: str, value: Any) -> Any:
    return _ENUMS[name](value) if name in _ENUMS else value


def _ids_around(identity: UUID) -> tuple[UUID, UUID] | None:
    """The first and the last id that were made within ``MAX_ID_DISTANCE_MS`` of a UUIDv7; None for another version."""
    if identity.version != 7:
        return None
    made_at = identity.int >> _TIMESTAMP_SHIFT
    first, last = max(0, made_at - MAX_ID_DISTANCE_MS), min(_MAX_MS, made_at + MAX_ID_DISTANCE_MS)
    return UUID(int=first << _TIMESTAMP_SHIFT), UUID(int=last << _TIMESTAMP_SHIFT)
