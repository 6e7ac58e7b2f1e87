"""Claims that cost money: charged with the claim, in one statement, so that no number of workers spends too much."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from prometheus_client import Counter

from shared.gather import Gather
from shared.postgres import Pool, connection
from sms_service.delivery import Ending, Entry, State, TooDearError
from sms_service.ledger_store import LedgerStore
from sms_service.senders import Outcome
from sms_service.spending.areas import calling_code
from sms_service.spending.money import Budget, Charge
from sms_service.spending.policy import BUCKET_SECONDS

SPENT = Counter("haoma_spent_micros_total", "Money charged for attempts, in millionths", ["sender", "country"])
GIVEN_BACK = Counter("haoma_given_back_micros_total", "Of it, what surely cost nothing", ["sender", "country"])

_FREE = frozenset({Outcome.MISCONFIGURED, Outcome.REFUSED, Outcome.RATE_LIMITED})
"""Answers of a provider that turned the message away at its door. Whatever may have left, stays charged."""

# Money is locked after messages, in the order of its keys, and traffic after money: everywhere, so that two
# statements never wait for each other. A row of a budget that is behind its window counts as nothing spent; one
# that is ahead (turned over by somebody who came later and was quicker) is taken as it is.
_WINDOW = "date_trunc(b.span, now(), 'UTC')"
_SO_FAR = f"case when b.starts_at >= {_WINDOW} then b.spent else 0 end"
_BUCKET = f"to_timestamp(floor(extract(epoch from {{}}) / {BUCKET_SECONDS}) * {BUCKET_SECONDS})"

# A message fits when all that are before it in the batch do so too, on each of its budgets.
CLAIM = f"""
    with wanted as (
        select * from unnest(
            $1::uuid[], $2::int[], $3::text[], $4::int[], $5::bigint[], $6::text[], $7::text[], $8::text[]
        ) as wanted (message_id, version, sender, segments, price, block, network, country)
    ), locked as (
        select s.message_id, w.sender, w.segments, w.price, w.block, w.network, w.country
        from sends s join wanted w using (message_id)
        where s.version = w.version and s.state = 'queued' and now() < s.expires_at
        order by s.message_id for update of s
    ), lines as (
        select l.message_id, l.price, m.prefix, m.span, m.most
        from locked l
        join unnest($9::uuid[], $10::text[]) as c (message_id, prefix) using (message_id)
        join unnest($11::text[], $12::text[], $13::bigint[]) as m (prefix, span, most) using (prefix)
        where l.price > 0
    ), asked as (
        select distinct prefix, span, most from lines
    ), room as (
        select b.prefix, b.span, a.most - {_SO_FAR} as micros
        from budgets b join asked a using (prefix, span)
        order by b.prefix, b.span for update of b
    ), dear as (
        select distinct message_id from (
            select l.message_id, r.micros,
                sum(l.price) over (partition by l.prefix, l.span order by l.message_id) as upto
            from lines l left join room r using (prefix, span)
        ) sums where micros is null or upto > micros
    ), paid as (
        select l.* from locked l left join dear d using (message_id) where d.message_id is null
    ), claimed as (
        update sends s set state = 'sending', sender = p.sender, claimed_at = now(), version = s.version + 1
        from paid p where s.message_id = p.message_id
        returning s.message_id, s.verification_id, s.phone_ref, s.created_at,
            p.sender, p.segments, p.price, p.block, p.network, p.country
    ), begun as (
        insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, price, started_at)
        select message_id, 1, verification_id, phone_ref, sender, segments, price, now() from claimed
    ), totals as (
        select l.prefix, l.span, coalesce(sum(l.price) filter (where p.message_id is not null), 0) as price,
            min(l.price) filter (where p.message_id is null) as wanted
        from lines l left join paid p using (message_id)
        group by l.prefix, l.span
    ), charged as (
        update budgets b set
            starts_at = greatest(b.starts_at, {_WINDOW}), spent = {_SO_FAR} + t.price,
            wanted = coalesce(t.wanted, case when b.starts_at >= {_WINDOW} then b.wanted else 0 end)
        from totals t where b.prefix = t.prefix and b.span = t.span
    ), counted as (
        insert into traffic as t (starts_at, block, network, country, sent, spent)
        select {_BUCKET.format("created_at")} as bucket, block, network, country, count(*), sum(price)
        from claimed group by bucket, block, network, country order by bucket, block
        on conflict (starts_at, block) do update set sent = t.sent + excluded.sent, spent = t.spent + excluded.spent
        returning t.sent
    )
    select l.message_id, c.message_id is not null as claimed, (select max(sent) from counted) as busiest
    from locked l left join claimed c using (message_id)
"""  # noqa: S608  put together from constants

# As without money, and the first attempt's price is given back in the statement that charges the second's.
MOVE_ON = f"""
    with held as (
        select message_id, claimed_at, created_at from sends
        where message_id = $1 and version = $2 and state = 'sending' and now() < expires_at
        for update
    ), room as (
        select b.prefix, b.span, m.most,
            {_SO_FAR} - case when h.claimed_at >= b.starts_at and b.starts_at >= {_WINDOW} then $9::bigint else 0 end
                as so_far
        from budgets b
        join unnest($10::text[], $11::text[], $12::bigint[]) as m (prefix, span, most) using (prefix, span)
        cross join held h
        order by b.prefix, b.span for update of b
    ), paid as (
        select message_id, created_at from held
        where $8::bigint = 0 or (
            select count(*) from room where so_far + $8::bigint <= most
        ) = cardinality($10::text[])
    ), moved as (
        update sends s set sender = $3, claimed_at = now(), version = s.version + 1
        from paid p where s.message_id = p.message_id
        returning s.message_id, s.verification_id, s.phone_ref
    ), ended as (
        update attempts a set
            outcome = $4, detail = $5, provider_id = $6, finished_at = now(), price = a.price - $9::bigint
        from moved where a.message_id = moved.message_id and a.number = 1
    ), begun as (
        insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, price, started_at)
        select message_id, 2, verification_id, phone_ref, $3, $7, $8, now() from moved
    ), charged as (
        update budgets b set
            starts_at = greatest(b.starts_at, {_WINDOW}), spent = greatest(r.so_far, 0) + $8::bigint
        from room r, paid where b.prefix = r.prefix and b.span = r.span
    ), counted as (
        update traffic t set spent = t.spent + $8::bigint - $9::bigint
        from paid p where t.starts_at = {_BUCKET.format("p.created_at")} and t.block = $13
    )
    select (select message_id from moved) as moved, exists (select from held) as held
"""  # noqa: S608

# One that never left says nothing of the number's prefix: with a provider down, nobody is verified.
TAKE_BACK = f"""
    with attempt as (
        select a.message_id, a.sender, a.started_at, s.created_at
        from attempts a join sends s using (message_id) where a.message_id = $1 and a.sender = $2
        for update of a
    ), freed as (
        update attempts a set price = a.price - $3::bigint from attempt t
        where a.message_id = t.message_id and a.sender = t.sender
    ), held as (
        select b.prefix, b.span from budgets b
        join unnest($4::text[], $5::text[]) as m (prefix, span) using (prefix, span)
        join attempt t on t.started_at >= b.starts_at
        order by b.prefix, b.span for update of b
    ), given_back as (
        update budgets b set spent = greatest(b.spent - $3::bigint, 0)
        from held h where b.prefix = h.prefix and b.span = h.span
    )
    update traffic t set sent = greatest(t.sent - 1, 0), spent = greatest(t.spent - $3::bigint, 0)
    from attempt a where t.starts_at = {_BUCKET.format("a.created_at")} and t.block = $6
"""  # noqa: S608


class PaidLedger:
    """The ledger, with a price on every attempt. Entries that it is given to claim carry their charge.

    ``alarm`` is called when a block of numbers was given ``alarming`` messages within five minutes; 0 is never.
    """

    def __init__(
        self, pool: Pool, ledger: LedgerStore, alarm: Callable[[], None] = lambda: None, alarming: int = 0
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._alarm = alarm
        self._alarming = alarming
        self.find, self.stale = ledger.find, ledger.stale
        self._claim = Gather(self._claim_all)

    async def claim(self, entry: Entry, sender: str) -> Entry | None:
        """As the ledger's. Raises ``TooDearError`` when a budget of the number has no room for it."""
        claimed = await self._claim((entry, sender))
        if claimed is False:
            raise TooDearError
        if not claimed:
            return None
        charge = _charge(entry)
        SPENT.labels(sender, calling_code(charge.area.country)).inc(charge.micros)
        return _begun(entry, sender)

    async def _claim_all(self, wanted: Sequence[tuple[Entry, str]]) -> list[bool | None]:
        """For each whether it was claimed; None when it is taken, done, or past its life."""
        once = {entry.message_id: (entry, sender) for entry, sender in wanted}
        entries = [entry for entry, _ in once.values()]
        charges = [_charge(entry) for entry in entries]
        async with connection(self._pool) as taken:
            rows = await taken.fetch(
                CLAIM,
                list(once),
                [entry.version for entry in entries],
                [sender for _, sender in once.values()],
                [entry.segments for entry in entries],
                [charge.micros for charge in charges],
                *_columns([charge.area for charge in charges], 3),
                *_columns([(e.message_id, b.prefix) for e in entries for b in _charge(e).budgets], 2),
                *_limits({budget for charge in charges for budget in charge.budgets}),
            )
        if rows and 0 < self._alarming <= (rows[0]["busiest"] or 0):
            self._alarm()
        found = {row["message_id"]: row["claimed"] for row in rows}
        # Of two commands for one message that came together, the first has it.
        return [found.pop(entry.message_id, None) for entry, _ in wanted]

    async def move_on(self, entry: Entry, answer: Ending, sender: str) -> Entry | None:
        """As the ledger's, and a first attempt that cost nothing is given back. Raises ``TooDearError``."""
        second = _charge(entry)
        back = entry.replaced.micros if entry.replaced is not None and _is_free(answer) else 0
        async with connection(self._pool) as taken:
            row = await taken.fetchrow(
                MOVE_ON,
                entry.message_id,
                entry.version,
                sender,
                answer.outcome,
                answer.detail,
                answer.provider_id,
                entry.segments,
                second.micros,
                back,
                *_limits(set(second.budgets)),
                second.area.block,
            )
        if row is None or not row["held"]:
            return None
        if row["moved"] is None:
            raise TooDearError
        country = calling_code(second.area.country)
        SPENT.labels(sender, country).inc(second.micros)
        GIVEN_BACK.labels(entry.sender, country).inc(back)
        return _begun(entry, sender)

    async def finish(self, entry: Entry, ending: Ending, told: object) -> bool:
        """As the ledger's. An attempt that failed is taken out of the counts, and given back if it cost nothing."""
        done = await self._ledger.finish(entry, ending, told)  # type: ignore[arg-type]
        if done and ending.state is State.FAILED and entry.charge is not None:
            await self._take_back(entry, entry.charge, entry.charge.micros if _is_free(ending) else 0)
        return done

    async def _take_back(self, entry: Entry, charge: Charge, micros: int) -> None:
        """After the end is recorded: a worker that dies in between leaves it charged, never the other way."""
        prefixes, spans, _ = _limits(set(charge.budgets) if micros else set())
        async with connection(self._pool) as taken:
            await taken.execute(TAKE_BACK, entry.message_id, entry.sender, micros, prefixes, spans, charge.area.block)
        GIVEN_BACK.labels(entry.sender, calling_code(charge.area.country)).inc(micros)


def _is_free(ending: Ending) -> bool:
    return ending.failure in _FREE or ending.detail == "circuit_open"


def _charge(entry: Entry) -> Charge:
    assert entry.charge is not None  # noqa: S101  whoever has prices has priced it
    return entry.charge


def _begun(entry: Entry, sender: str) -> Entry:
    return replace(entry, state=State.SENDING, sender=sender, version=entry.version + 1)


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    return [[row[place] for row in rows] for place in range(width)]


def _limits(budgets: set[Budget]) -> list[list[object]]:
    """All windows of some budgets, as the columns prefix, span and most."""
    return _columns([(budget.prefix, span, most) for budget in budgets for span, most in budget.spans], 3)
