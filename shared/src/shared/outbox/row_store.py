"""The rows of the outbox: written with what they report, taken by relays, and deleted when the broker has confirmed."""

from collections.abc import Sequence

from shared.events.envelope import OutboxMessage
from shared.postgres import Connection

OWN_SECONDS = 2
"""How long other relays leave a row to the process that wrote it and hands its message over."""

INSERT = """
    insert into outbox (id, exchange, routing_key, body)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])
"""

# The transaction commits after the broker has confirmed. Until then the rows are locked, and other relays skip them.
TAKE = f"""
    with new_rows as (
        select id from outbox
        where parked_at is null and attempts = 0 and (
            routing_key <> all ($2::text[]) or created_at < now() - interval '{OWN_SECONDS} s' or id = any ($3::uuid[])
        )
        order by id limit $1 for update skip locked
    ), refused_rows as (
        select id from outbox where parked_at is null and attempts > 0
        order by id limit $1 - (select count(*) from new_rows) for update skip locked
    )
    delete from outbox where id in (select id from new_rows union all select id from refused_rows)
    returning id, exchange, routing_key, body, created_at, attempts
"""  # noqa: S608  our own number

# Young rows that are handed over are ignored: the process that wrote them publishes and deletes them.
HAS_ROWS = f"""
    select exists (
        select from outbox where parked_at is null and (
            attempts > 0 or routing_key <> all ($1::text[]) or created_at < now() - interval '{OWN_SECONDS} s'
        )
    )
"""  # noqa: S608  our own number
DELETE_PUBLISHED = "delete from outbox where id = any ($1::uuid[])"

PUT_BACK = """
    insert into outbox (id, exchange, routing_key, body, created_at, attempts, parked_at)
    values ($1, $2, $3, $4, $5, $6, case
        when $6::int >= $7::int and $5::timestamptz <= now() - make_interval(secs => $8) then now()
    end)
    returning parked_at is not null
"""

# Bounded, because a long outage leaves millions of rows.
MEASURE = """
    select count(*) filter (where parked_at is null), count(*) filter (where parked_at is not null),
        coalesce(extract(epoch from now() - min(created_at) filter (where parked_at is null)), 0)::float
    from (select created_at, parked_at from outbox order by id limit 10000) as oldest
"""


async def put(connection: Connection, messages: Sequence[OutboxMessage]) -> None:
    """Add messages to the outbox in the caller's transaction."""
    await connection.execute(INSERT, *columns(messages))


def columns(messages: Sequence[OutboxMessage]) -> tuple[list[object], list[str], list[str], list[bytes]]:
    """The messages as the four arrays of ``INSERT``, for statements that insert them as part of something larger."""
    return (
        [message.id for message in messages],
        [message.exchange for message in messages],
        [message.routing_key for message in messages],
        [message.body for message in messages],
    )
