"""Happenings: their SQL, but for the one that a right code writes with everything else it changes."""

from collections.abc import Sequence
from uuid import UUID

from shared.events import OutboxMessage, new_id
from shared.internal_api.sms import Purpose
from shared.outbox import columns
from shared.postgres import Connection
from shared.tickets import LIFETIME
from sms_service.verification.audit_events import (
    REFUSALS_PER_DAY,
    UNUSABLE_CHECKS_PER_DAY,
    UnusableReason,
    VerificationEvent,
)
from sms_service.verification.limits import TRIES_PER_CODE

_FEW = """
    (
        select count(*) from (
            select from verification_events h
            where h.phone_ref = {ref} and h.kind = {kind} and h.at > now() - interval '1 day' limit {most}
        ) as kept
    ) < {most}
"""

# The happening and the event that tells it are one fact: they are written together, under one id.
TELL = f"""
    with noted as (
        insert into verification_events (
            id, phone_ref, verification_id, at, kind, purpose, dialect, detail, retry_after, tries_left
        )
        select ($1::uuid[])[1], $5, $6, now(), $7, $8, $9, $10, $11, $12
        where $7::text <> 'refused' or {_FEW.format(ref="$5", kind="'refused'", most=REFUSALS_PER_DAY)}
    )
    insert into outbox (id, exchange, routing_key, body)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])
"""  # noqa: S608  put together from constants

# Nothing is kept of guesses at numbers that asked for no code.
_RECORD_UNUSABLE = f"""
    insert into verification_events (id, phone_ref, verification_id, at, kind, purpose, dialect, detail)
    select $1, v.phone_ref, v.verification_id, now(), 'dead', v.purpose, $4,
        case
            when v.verification_id <> $5 then '{UnusableReason.REPLACED}'
            when v.tries >= $6 then '{UnusableReason.USED_UP}'
            when v.verified_at + $7::interval <= now() then '{UnusableReason.SPENT}'
            when v.verified_at is null and v.expires_at <= now() then '{UnusableReason.EXPIRED}'
            else '{UnusableReason.LIMITED}'
        end
    from verifications v
    where {{identity}} and v.purpose = $3
        and {_FEW.format(ref="v.phone_ref", kind="'dead'", most=UNUSABLE_CHECKS_PER_DAY)}
"""  # noqa: S608  put together from constants
RECORD_UNUSABLE = _RECORD_UNUSABLE.format(identity="v.phone_ref = $2")
RECORD_UNUSABLE_BY_ID = _RECORD_UNUSABLE.format(identity="v.verification_id = $2")

PURGE = """
    with gone as (
        delete from verification_events where id in (
            select id from verification_events where id < $1 and at < now() - make_interval(days => $2) order by id limit $3
        )
        returning 1
    )
    select count(*) from gone
"""


async def tell(conn: Connection, messages: Sequence[OutboxMessage], event: VerificationEvent) -> None:
    """Write a happening and the events that tell it, in one statement. A refusal too many is told and not kept."""
    await conn.execute(
        TELL,
        *columns(messages),
        event.phone_ref,
        event.verification_id,
        event.kind.value,
        event.purpose.value,
        event.dialect,
        event.detail,
        event.retry_after,
        event.tries_left,
    )


async def record_unusable(
    conn: Connection, phone_ref: int | None, purpose: Purpose, verification_id: UUID | None, dialect: str
) -> None:
    """Write that a code came back which opens nothing, if there is a verification it was meant for."""
    statement, known = (RECORD_UNUSABLE_BY_ID, verification_id) if phone_ref is None else (RECORD_UNUSABLE, phone_ref)
    await conn.execute(statement, new_id(), known, purpose.value, dialect, verification_id, TRIES_PER_CODE, LIFETIME)


async def purge(conn: Connection, before: UUID, days: int, limit: int) -> int:
    """Delete happenings older than so many days. Returns how many went."""
    return int(await conn.fetchval(PURGE, before, days, limit))
