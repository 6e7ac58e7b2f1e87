"""Verifications and the numbers they belong to: their SQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from shared.contracts.sms import Purpose
from shared.events import Outgoing
from shared.gather import Gather
from shared.outbox import columns
from shared.postgres import Pool, connection
from shared.tickets import LIFETIME
from sms_service import dispatch_store, happening_store
from sms_service.happenings import Happening
from sms_service.records import Dispatch, Passed, Try
from sms_service.rules import (
    FAILURES_FROM_ONE_PLACE,
    FAILURES_PER_WINDOW,
    GUESSER_FAILURES,
    GUESSER_WINDOW,
    TRIES_PER_CODE,
    WINDOW,
    Standing,
    Verification,
)
from sms_service.spending.areas import Area
from sms_service.spending.policy import BUCKET_SECONDS

# Every statement that changes a number and its verification takes the number's row first, then the guesser's if
# there is one, so that two of them never wait for each other.

STANDING = """
    select now() as now, n.version as number_version, n.sends,
        v.verification_id, v.code_key_id, v.created_at, v.expires_at, v.tries, v.verified_at, v.version
    from unnest($1::bigint[], $2::text[]) with ordinality as asked (phone_ref, purpose, position)
    left join numbers n using (phone_ref)
    left join verifications v using (phone_ref, purpose)
    order by asked.position
"""

SENDS = "select now(), (select sends from numbers where phone_ref = $1)"

# The try is counted on both rows or on neither. A lock that had to be waited for is judged by what the row
# has become meanwhile: guesses sent at once are counted one after the other. A code that is already dead is
# seen without a lock, so that a flood of guesses at it writes nothing.
# A guesser ($7, where guesses come from) is refused before anything is counted on the number: mostly by what is
# read, and by what his row has become where many of his guesses race.
_LIVE = """
    {identity} and v.purpose = $2 and v.tries < $3
    and now() < case when v.verified_at is null then v.expires_at else v.verified_at + $4::interval end
"""
_RECENT = "unnest(n.failures, n.failed_from) as f (at, place) where f.at > now() - $5::interval"
_OPEN = "g.failures > 0 and g.resets_at > now()"
_COUNT_TRY = f"""
    with held as (
        select n.phone_ref from verifications v join numbers n using (phone_ref)
        where {_LIVE}
            and (select count(*) < $6 and count(*) filter (where f.place = $7::text) < $8 from {_RECENT})
            and not exists (select from guessers g where g.place = $7 and {_OPEN} and g.failures >= $9)
        for update of n
    ), charged as (
        insert into guessers as g (place, failures, resets_at)
        select $7, 1, now() + $10::interval from held where $7::text is not null
        on conflict (place) do update set
            failures = case when {_OPEN} then g.failures + 1 else 1 end,
            resets_at = case when {_OPEN} then g.resets_at else excluded.resets_at end
        where not ({_OPEN}) or g.failures < $9
        returning resets_at
    ), tried as (
        update verifications v set tries = v.tries + 1, version = v.version + 1
        from held
        where v.phone_ref = held.phone_ref and {_LIVE} and ($7::text is null or exists (select from charged))
        returning v.verification_id, v.phone_ref, v.phone_sealed, v.code_key_id, v.tries, v.version
    ), counted as (
        update numbers n set
            failures = array(select f.at from {_RECENT}) || now(),
            failed_from = array(select coalesce(f.place, '') from {_RECENT}) || coalesce($7::text, ''),
            version = n.version + 1
        from tried
        where n.phone_ref = tried.phone_ref
    )
    select *, now() as at, $7::text as guesser, (select resets_at from charged) as resets_at from tried
"""  # noqa: S608  put together from constants
COUNT_TRY = _COUNT_TRY.format(identity="v.phone_ref = $1 and v.verification_id = coalesce($11, v.verification_id)")
COUNT_TRY_BY_ID = _COUNT_TRY.format(identity="v.verification_id = $1")
_TRY_LIMITS = (TRIES_PER_CODE, LIFETIME, WINDOW, FAILURES_PER_WINDOW)
_GUESSER_LIMITS = (FAILURES_FROM_ONE_PLACE, GUESSER_FAILURES, GUESSER_WINDOW)

# The right code gives its try back: one mark leaves the number, one try the guesser and the verification. The event
# is told, and kept as a happening, by whoever came first.
SUCCEED = """
    with number as (
        update numbers set
            failures = coalesce(
                failures[:array_position(failures, $3) - 1] || failures[array_position(failures, $3) + 1:], failures
            ),
            failed_from = coalesce(
                failed_from[:array_position(failures, $3) - 1] || failed_from[array_position(failures, $3) + 1:],
                failed_from
            ),
            version = version + 1
        where phone_ref = $1
        returning phone_ref
    ), given_back as (
        update guessers set failures = failures - 1
        from number where place = $8 and resets_at = $9 and failures > 0
    ), held as (
        select verification_id, v.verified_at is null as first
        from verifications v, number
        where v.verification_id = $2 for update of v
    ), verified as (
        update verifications v set verified_at = coalesce(v.verified_at, now()), tries = v.tries - 1
        from held
        where v.verification_id = held.verification_id
        returning v.*, held.first
    ), counted as (
        insert into traffic as t (starts_at, block, network, country, verified)
        select to_timestamp(floor(extract(epoch from created_at) / $14) * $14), $11, $12, $13, 1
        from verified where first and $11::text is not null
        on conflict (starts_at, block) do update set verified = t.verified + 1
    ), noted as (
        insert into happenings (id, phone_ref, verification_id, at, what, purpose, dialect)
        select ($4::uuid[])[1], phone_ref, verification_id, now(), 'right', purpose, $10 from verified where first
    ), told as (
        insert into outbox (id, exchange, routing_key, body)
        select m.* from verified, unnest($4::uuid[], $5::text[], $6::text[], $7::bytea[]) as m
        where verified.first
    )
    select verified_at, now() from verified
"""


class CodeStore:
    """Verifications and the numbers they belong to."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._standing = Gather(self._standings)
        self._dispatch = Gather(self._dispatch_all)

    async def standing(self, phone_ref: int, purpose: Purpose) -> Standing:
        """Where a number stands, read without a lock: ``dispatch`` finds out whether it still stands there."""
        return await self._standing((phone_ref, purpose))

    async def _standings(self, asked: Sequence[tuple[int, Purpose]]) -> list[Standing]:
        refs, purposes = [ref for ref, _ in asked], [purpose.value for _, purpose in asked]
        async with connection(self._pool) as taken:
            rows = await taken.fetch(STANDING, refs, purposes)
        return [
            Standing(row["now"], row["number_version"] or 0, tuple(row["sends"] or ()), _verification(row))
            for row in rows
        ]

    async def sends(self, phone_ref: int) -> tuple[datetime, Sequence[datetime]]:
        """What time it is, and when codes went to a number."""
        async with connection(self._pool) as taken:
            row = await taken.fetchrow(SENDS, phone_ref)
        assert row is not None  # noqa: S101  it asks for no table's row
        return row[0], row[1] or ()

    async def dispatch(self, dispatch: Dispatch) -> bool:
        """Write an accepted request. False when the number has changed since it was decided upon."""
        return await self._dispatch(dispatch)

    async def _dispatch_all(self, dispatches: Sequence[Dispatch]) -> list[bool]:
        async with connection(self._pool) as taken:
            return await dispatch_store.write(taken, dispatches)

    async def tell(self, messages: Sequence[Outgoing], happening: Happening) -> None:
        """Keep a happening and add the events that tell it."""
        async with connection(self._pool) as taken:
            await happening_store.tell(taken, messages, happening)

    async def note_dead(
        self, phone_ref: int | None, purpose: Purpose, verification_id: UUID | None, dialect: str
    ) -> None:
        """Keep that a code came back which opens nothing, if there is a verification it was meant for."""
        async with connection(self._pool) as taken:
            await happening_store.note_dead(taken, phone_ref, purpose, verification_id, dialect)

    async def count_try(
        self, phone_ref: int, purpose: Purpose, verification_id: UUID | None, guesser: str | None
    ) -> Try | None:
        """Count a try on the code of a number and purpose; None when there is none that may be tried."""
        async with connection(self._pool) as taken:
            row = await taken.fetchrow(
                COUNT_TRY, phone_ref, purpose.value, *_TRY_LIMITS, guesser, *_GUESSER_LIMITS, verification_id
            )
        return Try(**row) if row else None

    async def count_try_by_id(self, verification_id: UUID, purpose: Purpose, guesser: str | None) -> Try | None:
        """As ``count_try``, for who knows only the verification."""
        async with connection(self._pool) as taken:
            row = await taken.fetchrow(
                COUNT_TRY_BY_ID, verification_id, purpose.value, *_TRY_LIMITS, guesser, *_GUESSER_LIMITS
            )
        return Try(**row) if row else None

    async def succeed(self, attempt: Try, event: Outgoing, dialect: str, area: Area | None = None) -> Passed | None:
        """Mark as verified and give the try back; None when a newer verification has taken its place.

        ``area`` is where it is counted, if anywhere: once, beside the send of its code.
        """
        async with connection(self._pool) as taken:
            row = await taken.fetchrow(
                SUCCEED,
                attempt.phone_ref,
                attempt.verification_id,
                attempt.at,
                *columns([event]),
                attempt.guesser,
                attempt.resets_at,
                dialect,
                *(area or (None, None, None)),
                BUCKET_SECONDS,
            )
        return Passed(row[0], row[1]) if row else None


def _verification(row: asyncpg.Record) -> Verification | None:
    if row["verification_id"] is None:
        return None
    return Verification(
        row["verification_id"],
        row["code_key_id"],
        row["created_at"],
        row["expires_at"],
        row["tries"],
        row["verified_at"],
        row["version"],
    )
