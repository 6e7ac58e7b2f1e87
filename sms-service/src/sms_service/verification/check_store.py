"""Counting tries at codes, and what becomes of the right ones: the SQL, for many numbers at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.events import OutboxMessage
from shared.internal_api.sms import Purpose
from shared.outbox import columns
from shared.postgres import Connection
from shared.tickets import LIFETIME
from sms_service.spending.policy import BUCKET_SECONDS
from sms_service.spending.prefixes import NumberPrefixes
from sms_service.verification.limits import (
    FAILURES_FROM_ONE_NETWORK,
    FAILURES_PER_WINDOW,
    NETWORK_FAILURE_WINDOW,
    NETWORK_FAILURES,
    TRIES_PER_CODE,
    WINDOW,
)
from sms_service.verification.models import CheckAttempt, Verified


@dataclass(frozen=True)
class CodeCheck:
    """Somebody's try at the code of a number, or of a verification alone. ``source_network`` is whom it is counted on."""

    phone_ref: int | None
    purpose: Purpose
    verification_id: UUID | None
    source_network: str | None


@dataclass(frozen=True)
class SuccessfulCheck:
    """A try that was right, and what is to be told of it; ``area`` is where it is counted, if anywhere."""

    attempt: CheckAttempt
    event: OutboxMessage
    dialect: str
    area: NumberPrefixes | None


# Every statement that changes numbers takes their rows first, then those of guessers, then those of traffic, each
# kind in the order of its keys (an "order by" reads all that is below it first): two of them never wait for each other.
# (PostgreSQL runs what nobody reads last: that traffic comes after guessers is said by reading how many were charged.)

# The try is counted on both rows or on neither. A lock that had to be waited for is judged by what the row
# has become meanwhile: guesses sent at once are counted one after the other. A code that is already dead is
# seen without a lock, so that a flood of guesses at it writes nothing.
# A source_network (where guesses come from) is refused before anything is counted on the number: mostly by what is
# read, and by what his row has become where many of his guesses race.
_LIVE = (
    "v.tries < $5 and now() < case when v.verified_at is null then v.expires_at else v.verified_at + $6::interval end"
)
_RECENT = "unnest(n.failures, n.failure_networks) as f (at, network) where f.at > now() - $7::interval"
_OPEN = "g.failures > 0 and g.resets_at > now()"
_COUNT_TRY = f"""
    with asked as (
        select * from unnest($1::bigint[], $2::text[], $3::uuid[], $4::text[])
        as asked (phone_ref, purpose, verification_id, source_network)
    ), held as (
        select n.phone_ref, a.purpose, a.verification_id, a.source_network
        from asked a
        join verifications v on {{identity}} and v.purpose = a.purpose
        join number_activity n on n.phone_ref = v.phone_ref
        where {_LIVE}
            and (select count(*) < $8 and count(*) filter (where f.network = a.source_network) < $9 from {_RECENT})
            and not exists (select from check_failures_by_network g where g.network = a.source_network and {_OPEN} and g.failures >= $10)
        order by n.phone_ref for update of n
    ), charged as (
        insert into check_failures_by_network as g (network, failures, resets_at)
        select source_network, 1, now() + $11::interval from held where source_network is not null order by source_network
        on conflict (network) do update set
            failures = case when {_OPEN} then g.failures + 1 else 1 end,
            resets_at = case when {_OPEN} then g.resets_at else excluded.resets_at end
        where not ({_OPEN}) or g.failures < $10
        returning network, resets_at
    ), tried as (
        update verifications v set tries = v.tries + 1, version = v.version + 1
        from held h left join charged c on c.network = h.source_network
        where v.phone_ref = h.phone_ref and v.purpose = h.purpose
            and v.verification_id = coalesce(h.verification_id, v.verification_id)
            and {_LIVE} and (h.source_network is null or c.network is not null)
        returning v.verification_id, v.phone_ref, v.phone_sealed, v.code_key_id, v.tries, v.version,
            h.source_network, c.resets_at
    ), counted as (
        update number_activity n set
            failures = array(select f.at from {_RECENT}) || now(),
            failure_networks = array(select coalesce(f.network, '') from {_RECENT}) || coalesce(t.source_network, ''),
            version = n.version + 1
        from tried t
        where n.phone_ref = t.phone_ref
    )
    select *, now() as at from tried
"""  # noqa: S608  put together from constants
COUNT_TRY = _COUNT_TRY.format(
    identity="v.phone_ref = a.phone_ref and v.verification_id = coalesce(a.verification_id, v.verification_id)"
)
COUNT_TRY_BY_ID = _COUNT_TRY.format(identity="v.verification_id = a.verification_id")
_LIMITS = (
    TRIES_PER_CODE,
    LIFETIME,
    WINDOW,
    FAILURES_PER_WINDOW,
    FAILURES_FROM_ONE_NETWORK,
    NETWORK_FAILURES,
    NETWORK_FAILURE_WINDOW,
)

# The right code gives its try back: one mark leaves the number, one try the source_network and the verification. The event
# is told, and kept as a happening, by whoever came first.
SUCCEED = """
    with right_ones as (
        select * from unnest(
            $1::bigint[], $2::uuid[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::text[],
            $7::text[], $8::text[], $9::text[], $10::uuid[], $11::text[], $12::text[], $13::bytea[]
        ) as r (
            phone_ref, verification_id, at, source_network, resets_at, dialect,
            range, network, country, event_id, exchange, routing_key, body
        )
    ), locked as (
        select phone_ref from number_activity where phone_ref = any ($1) order by phone_ref for update
    ), number as (
        update number_activity n set
            failures = coalesce(
                n.failures[:array_position(n.failures, r.at) - 1] || n.failures[array_position(n.failures, r.at) + 1:],
                n.failures
            ),
            failure_networks = coalesce(
                n.failure_networks[:array_position(n.failures, r.at) - 1]
                    || n.failure_networks[array_position(n.failures, r.at) + 1:],
                n.failure_networks
            ),
            version = n.version + 1
        from right_ones r join locked using (phone_ref)
        where n.phone_ref = r.phone_ref
        returning r.*
    ), charged as (
        select g.network from check_failures_by_network g join number n on n.source_network = g.network and n.resets_at = g.resets_at
        order by g.network for update of g
    ), given_back as (
        update check_failures_by_network g set failures = g.failures - 1 from charged c where g.network = c.network and g.failures > 0
    ), held as (
        select n.*, v.verified_at is null as first
        from number n join verifications v using (verification_id)
        for update of v
    ), verified as (
        update verifications v set verified_at = coalesce(v.verified_at, now()), tries = v.tries - 1
        from held h
        where v.verification_id = h.verification_id
        returning h.*, v.verified_at, v.purpose, v.created_at
    ), counted as (
        insert into prefix_traffic as t (starts_at, range, network, country, verified)
        select to_timestamp(floor(extract(epoch from created_at) / $14) * $14) as bucket,
            range, network, country, count(*)
        from verified cross join (select count(*) from charged) as guessers
        where first and range is not null
        group by bucket, range, network, country order by bucket, range
        on conflict (starts_at, range) do update set verified = t.verified + excluded.verified
    ), noted as (
        insert into verification_events (id, phone_ref, verification_id, at, kind, purpose, dialect)
        select event_id, phone_ref, verification_id, now(), 'right', purpose, dialect from verified where first
    ), told as (
        insert into outbox (id, exchange, routing_key, body)
        select event_id, exchange, routing_key, body from verified where first
    )
    select verification_id, verified_at, now() from verified
"""


async def count(connection: Connection, checks: Sequence[CodeCheck]) -> list[CheckAttempt | None]:
    """Count guesses, of which no two share a number or a source_network. None for a code that may not be tried."""
    rows = await connection.fetch(COUNT_TRY, *zip(*map(_asked, checks), strict=True), *_LIMITS)
    counted = {row["phone_ref"]: CheckAttempt(**row) for row in rows}
    return [counted.get(check.phone_ref) for check in checks]


async def count_by_id(connection: Connection, check: CodeCheck) -> CheckAttempt | None:
    """As ``count``, for one guess that names no number."""
    row = await connection.fetchrow(COUNT_TRY_BY_ID, *zip(_asked(check), strict=True), *_LIMITS)
    return CheckAttempt(**row) if row else None


async def succeed(connection: Connection, successes: Sequence[SuccessfulCheck]) -> list[Verified | None]:
    """Record right codes, of which no two share a number or a source_network. None where a newer one has taken its place."""
    rows = await connection.fetch(
        SUCCEED,
        *zip(*map(_right, successes), strict=True),
        *columns([right.event for right in successes]),
        BUCKET_SECONDS,
    )
    passed = {row[0]: Verified(row[1], row[2]) for row in rows}
    return [passed.get(right.attempt.verification_id) for right in successes]


def _asked(check: CodeCheck) -> tuple[object, ...]:
    return check.phone_ref, check.purpose.value, check.verification_id, check.source_network


def _right(right: SuccessfulCheck) -> tuple[object, ...]:
    attempt = right.attempt
    who = (attempt.phone_ref, attempt.verification_id, attempt.at, attempt.source_network, attempt.resets_at)
    return (*who, right.dialect, *(right.area or (None, None, None)))
