"""The stages of prefixes and what they are judged by: their SQL."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from shared.events import OutboxMessage
from shared.outbox import columns
from shared.postgres import Pool, connection
from sms_service.otp import CODE_LIFETIME
from sms_service.retention import PURGE_BATCH
from sms_service.spending.gate import PrefixState
from sms_service.spending.money import Budget
from sms_service.spending.monitor import Change, Found, Window
from sms_service.spending.plan import KINDS
from sms_service.spending.policy import BUCKET_SECONDS, WINDOW_SECONDS, Counts, Held, Stage

TRAFFIC_DAYS = 2
STAGE_DAYS = 30
SETTLED = timedelta(seconds=BUCKET_SECONDS) + CODE_LIFETIME

# Asked first: a refusal writes nothing, not even a lock.
TAKE_TURN = """
    insert into job_leases (job, taken_at) select 'spending', now()
    where not exists (select from job_leases where job = 'spending' and taken_at > now() - $1::interval)
    on conflict (job) do update set taken_at = now() where job_leases.taken_at <= now() - $1::interval
    returning true
"""

OPEN_BUDGETS = """
    insert into budgets (prefix, span, starts_at, spent)
    select prefix, span, date_trunc(span, now(), 'UTC'), 0 from unnest($1::text[], $2::text[]) as b (prefix, span)
    on conflict do nothing
"""

# Stops are held against a prefix for a week.
HELD = """
    select scope, stage, version, until <= now() as over,
        case when since > now() - interval '7 days' then stops else 0 end as stops
    from prefix_stages
"""

WINDOWS = """
    select b.prefix, b.span, w.starts_at + ('1 ' || b.span)::interval - now() as ends_in,
        case when b.starts_at >= w.starts_at then b.spent else 0 end as spent
    from budgets b, lateral (select date_trunc(b.span, now(), 'UTC') as starts_at) w
"""

# A prefix that was let go is judged by what came after. Networks and countries are summed up from blocks.
_JUDGED = """
    select '{kind}:' || t.{kind},
        coalesce(sum(t.sent) filter (where t.is_settled), 0)::bigint,
        coalesce(sum(t.verified) filter (where t.is_settled), 0)::bigint,
        coalesce(sum(t.sent) filter (where not t.is_settled), 0)::bigint,
        coalesce(sum(t.verified) filter (where not t.is_settled), 0)::bigint,
        sum(t.spent)::bigint
    from recent t left join held h on h.kind = '{kind}' and h.prefix = t.{kind}
    where h.cleared_at is null or t.starts_at > h.cleared_at
    group by t.{kind}
    having (sum(t.sent) >= $3 and sum(t.verified) * 100 < sum(t.sent) * $4) or bool_or(h.kind is not null)
"""
COUNTS = f"""
    with held as materialized (
        select split_part(scope, ':', 1) as kind, split_part(scope, ':', 2) as prefix, cleared_at from prefix_stages
    ), recent as not materialized (
        select *, starts_at <= now() - $2::interval as is_settled from prefix_traffic where starts_at > now() - $1::interval
    )
    {" union all ".join(_JUDGED.format(kind=kind) for kind in KINDS)}
"""  # noqa: S608  put together from constants

# Nothing happens when somebody else has changed the stage since it was read.
CHANGE = """
    with changed as (
        insert into prefix_stages as s (scope, stage, since, until, stops, version)
        values ($1, $2, now(), now() + $3::interval, $4, $5::int + 1)
        on conflict (scope) do update set
            stage = excluded.stage, since = excluded.since, until = excluded.until, stops = excluded.stops,
            version = excluded.version,
            cleared_at = case when s.stage = 3 or excluded.stage = 0 then now() else s.cleared_at end
        where s.version = $5::int
        returning s.scope
    ), told as (
        insert into outbox (id, exchange, routing_key, body)
        select m.* from changed, unnest($6::uuid[], $7::text[], $8::text[], $9::bytea[]) as m
    )
    select count(*) from changed
"""

# A stop ends by itself when its time is over; a slowed prefix is let go by whoever judges.
PREFIX_STATES = """
    select scope, stage, now() - since as lasted, until - now() as left from prefix_stages
    where stage > 0 and (stage < 3 or until > now())
"""

# At most so many a minute; a refusal writes nothing.
ADMIT = """
    with admitted as (
        update prefix_stages set
            minute = greatest(minute, date_trunc('minute', now())),
            admitted = case when minute >= date_trunc('minute', now()) then admitted + 1 else 1 end
        where scope = $1 and stage = 2 and (minute < date_trunc('minute', now()) or admitted < $2)
        returning 1
    )
    select exists (select from admitted), date_trunc('minute', now()) + interval '1 minute' - now()
"""

GIVE_BACK = """
    update prefix_stages set admitted = admitted - 1
    where scope = $1 and minute >= date_trunc('minute', now()) and admitted > 0
"""

PURGE_TRAFFIC = """
    with gone as (
        delete from prefix_traffic where (starts_at, range) in (
            select starts_at, range from prefix_traffic where starts_at < now() - make_interval(days => $1)
            order by starts_at, range limit $2 for update skip locked
        )
        returning 1
    )
    select count(*) from gone
"""
PURGE_STAGES = """
    with gone as (
        delete from prefix_stages where scope in (
            select scope from prefix_stages where stage = 0 and since < now() - make_interval(days => $1)
            order by scope limit $2 for update skip locked
        )
        returning 1
    )
    select count(*) from gone
"""


class SpendingStore:
    """Budgets, traffic and stages."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open_budgets(self, budgets: Sequence[Budget]) -> None:
        """See that each window of each budget has its row: without one, nothing can be paid from it."""
        windows = [(budget.prefix, span) for budget in budgets for span, _ in budget.spans]
        await self._pool.execute(OPEN_BUDGETS, [prefix for prefix, _ in windows], [span for _, span in windows])

    async def take_turn(self, every: timedelta) -> bool:
        """Whether it is this process that judges now."""
        return bool(await self._pool.fetchval(TAKE_TURN, every))

    async def find(self) -> Found:
        """Budgets, and the prefixes with a stage."""
        async with connection(self._pool) as conn:
            held = await conn.fetch(HELD)
            windows = await conn.fetch(WINDOWS)
        return Found(
            held={row["scope"]: Held(Stage(row["stage"]), row["over"], row["stops"], row["version"]) for row in held},
            windows=[Window(**row) for row in windows],
        )

    async def counts(self, least: int, percent: int) -> Mapping[str, Counts]:
        """The last hour of prefixes with a stage, and of those with many sends and few of them verified."""
        rows = await self._pool.fetch(COUNTS, timedelta(seconds=WINDOW_SECONDS), SETTLED, least, percent)
        return {row[0]: Counts(*row[1:]) for row in map(tuple, rows)}

    async def change(self, change: Change, told: OutboxMessage) -> bool:
        """Enter a stage and tell it; False when somebody else was quicker."""
        async with connection(self._pool) as conn:
            changed = await conn.fetchval(
                CHANGE,
                change.scope,
                change.stage.value,
                timedelta(seconds=change.seconds),
                change.stops,
                change.version,
                *columns([told]),
            )
        return bool(changed)

    async def state(self) -> list[PrefixState]:
        """All prefixes in a stage, as they are now."""
        rows = await self._pool.fetch(PREFIX_STATES)
        return [
            PrefixState(row["scope"], Stage(row["stage"]), row["lasted"].total_seconds(), row["left"].total_seconds())
            for row in rows
        ]

    async def admit(self, scope: str, per_minute: int) -> float:
        """Let one more through to a slowed prefix: 0, or else in how many seconds to ask again."""
        row = await self._pool.fetchrow(ADMIT, scope, per_minute)
        assert row is not None  # noqa: S101  it asks for no table's row
        return 0.0 if row[0] else float(row[1].total_seconds())

    async def give_back(self, scope: str) -> None:
        """Take one back that was let through for nothing."""
        await self._pool.execute(GIVE_BACK, scope)

    async def purge(self) -> None:
        """Delete counts and endings that nobody judges by any more, some at a time."""
        for statement, days in ((PURGE_TRAFFIC, TRAFFIC_DAYS), (PURGE_STAGES, STAGE_DAYS)):
            while await self._pool.fetchval(statement, days, PURGE_BATCH):
                pass
