"""The SQL of the stages, of the budgets' windows, and of the traffic by prefix."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from shared.events.envelope import OutboxMessage
from shared.postgres import Pool, connection
from shared.sql import load_sql
from sms_service.otp import CODE_LIFETIME
from sms_service.retention import PURGE_BATCH
from sms_service.spending.gate import PrefixState
from sms_service.spending.money import Budget, BudgetWindow
from sms_service.spending.monitor import SpendingState, StageChange
from sms_service.spending.policy import BUCKET_SECONDS, WINDOW_SECONDS, CurrentStage, PrefixTraffic, Stage

TRAFFIC_DAYS = 2
STAGE_DAYS = 30
SETTLE_TIME = timedelta(seconds=BUCKET_SECONDS) + CODE_LIFETIME
"""Once a bucket is this old, all of its codes have been verified or have expired."""

# The condition comes first, so that a refusal writes nothing, not even a lock.
TAKE_LEASE = """
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

# Earlier blocks count against a prefix for a week.
CURRENT_STAGES = """
    select scope, stage, version, until <= now() as expired,
        case when since > now() - interval '7 days' then blocks else 0 end as blocks
    from prefix_stages
"""

# A row whose window has ended stands for a window in which nothing was spent yet.
BUDGET_WINDOWS = """
    select b.prefix, b.span, w.starts_at + ('1 ' || b.span)::interval - now() as ends_in,
        case when b.starts_at >= w.starts_at then b.spent else 0 end as spent
    from budgets b, lateral (select date_trunc(b.span, now(), 'UTC') as starts_at) w
"""

# A block ends with its time; throttling lasts until the monitor ends it.
PREFIX_STATES = """
    select scope, stage, now() - since as lasted, until - now() as left_over from prefix_stages
    where stage > 0 and (stage < 3 or until > now())
"""

PREFIX_TRAFFIC = load_sql("sms_service.spending", "prefix_traffic.sql")
CHANGE_STAGE = load_sql("sms_service.spending", "change_stage.sql")
ADMIT_MESSAGE = load_sql("sms_service.spending", "admit_message.sql")

GIVE_BACK = """
    update prefix_stages set admitted = admitted - 1
    where scope = $1 and minute >= date_trunc('minute', now()) and admitted > 0
"""

PURGE_TRAFFIC = """
    with deleted_buckets as (
        delete from prefix_traffic where (starts_at, range) in (
            select starts_at, range from prefix_traffic where starts_at < now() - make_interval(days => $1)
            order by starts_at, range limit $2 for update skip locked
        )
        returning starts_at
    )
    select count(*) from deleted_buckets
"""
PURGE_STAGES = """
    with deleted_stages as (
        delete from prefix_stages where scope in (
            select scope from prefix_stages where stage = 0 and since < now() - make_interval(days => $1)
            order by scope limit $2 for update skip locked
        )
        returning scope
    )
    select count(*) from deleted_stages
"""


class SpendingStore:
    """``StageRepository`` and ``StageChangeRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open_budgets(self, budgets: Sequence[Budget]) -> None:
        """Add the missing rows of budget windows: without its row, a budget pays for nothing."""
        windows = [(budget.prefix, span) for budget in budgets for span, _ in budget.spans]
        await self._pool.execute(OPEN_BUDGETS, [prefix for prefix, _ in windows], [span for _, span in windows])

    async def take_lease(self, interval: timedelta) -> bool:
        """Whether this process does the next review: true for one process in each interval."""
        return bool(await self._pool.fetchval(TAKE_LEASE, interval))

    async def find(self) -> SpendingState:
        """All stages, and the windows of all budgets."""
        async with connection(self._pool) as conn:
            stages = await conn.fetch(CURRENT_STAGES)
            windows = await conn.fetch(BUDGET_WINDOWS)
        return SpendingState(
            stages={
                row["scope"]: CurrentStage(Stage(row["stage"]), row["expired"], row["blocks"], row["version"])
                for row in stages
            },
            windows=[BudgetWindow(**row) for row in windows],
        )

    async def windows(self) -> list[BudgetWindow]:
        """The windows of all budgets."""
        return [BudgetWindow(**row) for row in await self._pool.fetch(BUDGET_WINDOWS)]

    async def traffic(self, min_sent: int, percent: int) -> Mapping[str, PrefixTraffic]:
        """The last hour, by scope, of the prefixes in a stage and of the suspects.

        A suspect has at least ``min_sent`` sends, and less than ``percent`` percent of them are verified.
        """
        arguments = PREFIX_TRAFFIC.arguments(
            period=timedelta(seconds=WINDOW_SECONDS), settle_time=SETTLE_TIME, min_sent=min_sent, percent=percent
        )
        rows = await self._pool.fetch(PREFIX_TRAFFIC.text, *arguments)
        return {scope: PrefixTraffic(*counts) for scope, *counts in map(tuple, rows)}

    async def change(self, change: StageChange, event: OutboxMessage) -> bool:
        """Enter a stage and put its event in the outbox. False if another process has changed the scope since."""
        arguments = CHANGE_STAGE.arguments(
            scope=change.scope,
            stage=change.stage.value,
            duration=timedelta(seconds=change.seconds),
            blocks=change.blocks,
            version=change.version,
            event_id=event.id,
            exchange=event.exchange,
            routing_key=event.routing_key,
            body=event.body,
        )
        async with connection(self._pool) as conn:
            return bool(await conn.fetchval(CHANGE_STAGE.text, *arguments))

    async def state(self) -> list[PrefixState]:
        """Every scope that is in a stage."""
        rows = await self._pool.fetch(PREFIX_STATES)
        return [
            PrefixState(scope, Stage(stage), lasted.total_seconds(), left.total_seconds())
            for scope, stage, lasted, left in map(tuple, rows)
        ]

    async def admit(self, scope: str, per_minute: int) -> float:
        """Take a slot of a throttled scope: 0, or the seconds until the next minute if no slot is left."""
        row = await self._pool.fetchrow(
            ADMIT_MESSAGE.text, *ADMIT_MESSAGE.arguments(scope=scope, per_minute=per_minute)
        )
        assert row is not None  # noqa: S101  the statement always returns one row
        return 0.0 if row["is_admitted"] else float(row["until_next_minute"].total_seconds())

    async def give_back(self, scope: str) -> None:
        """Free a slot that was taken in this minute."""
        await self._pool.execute(GIVE_BACK, scope)

    async def purge(self) -> None:
        """Delete old traffic and ended stages, ``PURGE_BATCH`` rows at a time."""
        for statement, days in ((PURGE_TRAFFIC, TRAFFIC_DAYS), (PURGE_STAGES, STAGE_DAYS)):
            while await self._pool.fetchval(statement, days, PURGE_BATCH):
                pass
