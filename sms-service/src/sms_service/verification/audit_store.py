"""Happenings: their SQL, but for the one that a right code writes with everything else it changes."""

from collections.abc import Sequence
from uuid import UUID

from shared.events import Outgoing, new_id
from shared.internal_api.sms import Purpose
from shared.outbox import columns
from shared.postgres import Connection
from shared.tickets import LIFETIME
from sms_service.verification.audit_events import DEAD_GUESSES_A_DAY, REFUSALS_A_DAY, Death, Happening
from sms_service.verification.limits import TRIES_PER_CODE

_FEW = """
    (
        select count(*) from (
            select from happenings h
            where h.phone_ref = {ref} and h.what = {what} and h.at > now() - interval '1 day' limit {most}
        ) as kept
    ) < {most}
"""

# The happening and the event that tells it are one fact: they are written together, under one id.
TELL = f"""
    with noted as (
        insert into happenings (
            id, phone_ref, verification_id, at, what, purpose, dialect, detail, retry_after, tries_left
        )
        select ($1::uuid[])[1], $5, $6, now(), $7, $8, $9, $10, $11, $12
        where $7::text <> 'refused' or {_FEW.format(ref="$5", what="'refused'", most=REFUSALS_A_DAY)}
    )
    insert into outbox (id, exchange, routing_key, body)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])
"""  # noqa: S608  put together from constants

# Nothing is kept of guesses at numbers that asked for no code.
_NOTE_DEAD = f"""
    insert into happenings (id, phone_ref, verification_id, at, what, purpose, dialect, detail)
    select $1, v.phone_ref, v.verification_id, now(), 'dead', v.purpose, $4,
        case
            when v.verification_id <> $5 then '{Death.REPLACED}'
            when v.tries >= $6 then '{Death.USED_UP}'
            when v.verified_at + $7::interval <= now() then '{Death.SPENT}'
            when v.verified_at is null and v.expires_at <= now() then '{Death.EXPIRED}'
            else '{Death.LIMITED}'
        end
    from verifications v
    where {{identity}} and v.purpose = $3
        and {_FEW.format(ref="v.phone_ref", what="'dead'", most=DEAD_GUESSES_A_DAY)}
"""  # noqa: S608  put together from constants
NOTE_DEAD = _NOTE_DEAD.format(identity="v.phone_ref = $2")
NOTE_DEAD_BY_ID = _NOTE_DEAD.format(identity="v.verification_id = $2")

PURGE = """
    with gone as (
        delete from happenings where id in (
            select id from happenings where id < $1 and at < now() - make_interval(days => $2) order by id limit $3
        )
        returning 1
    )
    select count(*) from gone
"""


async def tell(taken: Connection, messages: Sequence[Outgoing], happening: Happening) -> None:
    """Write a happening and the events that tell it, in one statement. A refusal too many is told and not kept."""
    await taken.execute(
        TELL,
        *columns(messages),
        happening.phone_ref,
        happening.verification_id,
        happening.what.value,
        happening.purpose.value,
        happening.dialect,
        happening.detail,
        happening.retry_after,
        happening.tries_left,
    )


async def note_dead(
    taken: Connection, phone_ref: int | None, purpose: Purpose, verification_id: UUID | None, dialect: str
) -> None:
    """Write that a code came back which opens nothing, if there is a verification it was meant for."""
    statement, known = (NOTE_DEAD_BY_ID, verification_id) if phone_ref is None else (NOTE_DEAD, phone_ref)
    await taken.execute(statement, new_id(), known, purpose.value, dialect, verification_id, TRIES_PER_CODE, LIFETIME)


async def purge(taken: Connection, before: UUID, days: int, limit: int) -> int:
    """Delete happenings older than so many days. Returns how many went."""
    return int(await taken.fetchval(PURGE, before, days, limit))
