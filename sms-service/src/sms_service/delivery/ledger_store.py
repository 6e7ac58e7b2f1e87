"""The delivery ledger, and what is let go with time: their SQL."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from shared.batching import Batcher
from shared.events import OutboxMessage
from shared.internal_api.sms import Language, Purpose
from shared.outbox import columns
from shared.postgres import Pool, connection
from shared.tickets import LIFETIME
from sms_service.delivery.delivery import FinalState, LedgerMessage, MessageState
from sms_service.delivery.routing import PreviousAttempt
from sms_service.verification import audit_store
from sms_service.verification.limits import WINDOW

_ENTRY = """
    s.message_id, s.verification_id, s.phone_ref, s.purpose, s.state, s.sender, s.version,
    now() - s.created_at as age, s.expires_at - now() as remaining, s.code_key_id, s.phone_sealed, s.language,
    s.dialect, s.client
"""

# A receipt that says "failed" makes an attempt a failure for the next message with the same code. An attempt is as old
# as its message: a sender's windows then never refuse what the cooldown, which counts from asking too, has allowed.
FIND = f"""
    select {_ENTRY}, p.senders, p.verification_ids, p.outcomes, p.agos
    from messages s, lateral (
        select
            array_agg(a.sender) as senders, array_agg(a.verification_id) as verification_ids,
            array_agg(case a.receipt when 'failed' then 'undelivered' else a.outcome end) as outcomes,
            array_agg(now() - asked.created_at) as agos
        from attempts a join messages asked using (message_id)
        where a.phone_ref = s.phone_ref and a.started_at > now() - interval '24 hours'
    ) p
    where s.message_id = any ($1::uuid[]) and s.state = 'queued'
"""  # noqa: S608  put together from constants

# Rows of a batch are locked in the order of their keys before any is changed: batches of two workers may overlap.
_LOCKED = (
    "locked as (select message_id from messages where message_id = any ($1::uuid[]) order by message_id for update)"
)

CLAIM = f"""
    with wanted as (
        select * from unnest($1::uuid[], $2::int[], $3::text[], $4::int[])
        as wanted (message_id, version, sender, segments)
    ), {_LOCKED}, claimed as (
        update messages s set state = 'sending', sender = w.sender, claimed_at = now(), version = s.version + 1
        from wanted w join locked using (message_id)
        where s.message_id = w.message_id and s.version = w.version and s.state = 'queued' and now() < s.expires_at
        returning s.message_id, s.verification_id, s.phone_ref, s.sender, w.segments
    ), begun as (
        insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, started_at)
        select message_id, 1, verification_id, phone_ref, sender, segments, now() from claimed
    )
    select message_id, sender from claimed
"""  # noqa: S608

# The second attempt begins in the statement that ends the first: nothing can come between them.
FAIL_OVER = """
    with moved as (
        update messages set sender = $3, claimed_at = now(), version = version + 1
        where message_id = $1 and version = $2 and state = 'sending' and now() < expires_at
        returning message_id, verification_id, phone_ref
    ), ended as (
        update attempts a set outcome = $4, detail = $5, provider_id = $6, finished_at = now()
        from moved where a.message_id = moved.message_id and a.number = 1
    ), begun as (
        insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, started_at)
        select message_id, 2, verification_id, phone_ref, $3, $7, now() from moved
    )
    select message_id from moved
"""

STALE = f"""
    select {_ENTRY} from messages s
    where s.state in ('queued', 'sending')
        and case s.state when 'queued' then s.expires_at <= now() else s.claimed_at <= now() - $1::interval end
    order by s.created_at limit $2
"""  # noqa: S608

FINISH = f"""
    with ended as (
        select * from unnest(
            $1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::uuid[], $9::text[], $10::text[], $11::bytea[]
        ) as ended (
            message_id, version, state, failure, outcome, detail, provider_id, event_id, exchange, routing_key, body
        )
    ), {_LOCKED}, finished as (
        update messages s set
            state = e.state, failure = e.failure, finished_at = now(), phone_sealed = null, version = s.version + 1
        from ended e join locked using (message_id) where s.message_id = e.message_id and s.version = e.version
        returning e.*
    ), answered as (
        update attempts a set outcome = f.outcome, detail = f.detail, provider_id = f.provider_id, finished_at = now()
        from finished f where a.message_id = f.message_id and a.finished_at is null
    ), told as (
        insert into outbox (id, exchange, routing_key, body)
        select event_id, exchange, routing_key, body from finished
    )
    select message_id from finished
"""  # noqa: S608

PURGE_MESSAGES = """
    with gone as (
        delete from messages where message_id in (
            select message_id from messages
            where message_id < $1 and created_at < now() - make_interval(days => $2)
            order by message_id limit $3
        )
        returning message_id
    ), with_them as (
        delete from attempts using gone where attempts.message_id = gone.message_id
    )
    select count(*) from gone
"""

PURGE_VERIFICATIONS = """
    with gone as (
        delete from verifications where verification_id in (
            select verification_id from verifications
            where verification_id < $1
                and greatest(expires_at, verified_at + $4::interval) < now() - make_interval(days => $2)
            order by verification_id limit $3 for update skip locked
        )
        returning 1
    )
    select count(*) from gone
"""

PURGE_NUMBERS = """
    with page as (
        select phone_ref from number_activity where phone_ref > $1 order by phone_ref limit $2
    ), idle as (
        select n.phone_ref from page join number_activity n using (phone_ref)
        where not exists (select from unnest(n.sends || n.failures) t where t > now() - $3::interval)
        for update of n skip locked
    ), gone as (
        delete from number_activity n using idle where n.phone_ref = idle.phone_ref
    )
    select max(phone_ref) from page
"""
PURGE_CHECK_FAILURES = """
    with gone as (
        delete from check_failures_by_network where network in (
            select network from check_failures_by_network where resets_at < now() or failures = 0 limit $1 for update skip locked
        )
        returning 1
    )
    select count(*) from gone
"""

_PAST = ("senders", "verification_ids", "outcomes", "agos")


class LedgerStore:
    """The delivery ledger, and what is let go with time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._find = Batcher(self._find_all)
        self._claim = Batcher(self._claim_all)
        self._finish = Batcher(self._finish_all)

    async def find(self, message_id: UUID) -> LedgerMessage | None:
        """A message that nobody has claimed, with the last day of its number; None when there is none."""
        return await self._find(message_id)

    async def _find_all(self, wanted: Sequence[UUID]) -> list[LedgerMessage | None]:
        async with connection(self._pool) as conn:
            found = {row["message_id"]: _entry(row) for row in await conn.fetch(FIND, wanted)}
        return [found.get(message_id) for message_id in wanted]

    async def claim(self, entry: LedgerMessage, sender: str) -> LedgerMessage | None:
        """Begin the first attempt, once; None when the message is taken, done, or past its life."""
        return await self._claim((entry, sender))

    async def _claim_all(self, wanted: Sequence[tuple[LedgerMessage, str]]) -> list[LedgerMessage | None]:
        entries, senders = zip(*wanted, strict=True)
        async with connection(self._pool) as conn:
            rows = await conn.fetch(
                CLAIM,
                [entry.message_id for entry in entries],
                [entry.version for entry in entries],
                senders,
                [entry.segments for entry in entries],
            )
        claimed = {(row["message_id"], row["sender"]) for row in rows}
        return [_claimed(entry, sender, claimed) for entry, sender in wanted]

    async def fail_over(self, entry: LedgerMessage, answer: FinalState, sender: str) -> LedgerMessage | None:
        """End the first attempt and begin the second; None when the code has died or the message was taken away."""
        async with connection(self._pool) as conn:
            moved = await conn.fetchval(
                FAIL_OVER,
                entry.message_id,
                entry.version,
                sender,
                answer.outcome,
                answer.detail,
                answer.provider_id,
                entry.segments,
            )
        return entry.begun(sender) if moved else None

    async def stale(self, abandoned_after: timedelta, limit: int) -> Sequence[LedgerMessage]:
        """Messages claimed so long ago that their worker must be dead, and queued ones past their life."""
        async with connection(self._pool) as conn:
            return [_entry(row) for row in await conn.fetch(STALE, abandoned_after, limit)]

    async def finish(self, entry: LedgerMessage, ending: FinalState, told: OutboxMessage) -> bool:
        """Record how a message ended and tell it; False when somebody else has changed it since it was read."""
        return await self._finish((entry, ending, told))

    async def _finish_all(self, ended: Sequence[tuple[LedgerMessage, FinalState, OutboxMessage]]) -> list[bool]:
        entries, endings, told = zip(*ended, strict=True)
        async with connection(self._pool) as conn:
            rows = await conn.fetch(
                FINISH,
                [entry.message_id for entry in entries],
                [entry.version for entry in entries],
                [ending.state.value for ending in endings],
                [ending.failure for ending in endings],
                [ending.outcome for ending in endings],
                [ending.detail for ending in endings],
                [ending.provider_id for ending in endings],
                *columns(told),
            )
        finished = {row[0] for row in rows}
        return [entry.message_id in finished for entry in entries]

    async def purge_messages(self, before: UUID, days: int, limit: int) -> int:
        """Delete finished and forgotten messages. Returns how many went."""
        async with connection(self._pool) as conn:
            return int(await conn.fetchval(PURGE_MESSAGES, before, days, limit))

    async def purge_verifications(self, before: UUID, days: int, limit: int) -> int:
        """Delete verifications whose tickets are long dead. Returns how many went."""
        async with connection(self._pool) as conn:
            return int(await conn.fetchval(PURGE_VERIFICATIONS, before, days, limit, LIFETIME))

    async def purge_verification_events(self, before: UUID, days: int, limit: int) -> int:
        """Delete what is told of numbers and no longer explains anything. Returns how many went."""
        async with connection(self._pool) as conn:
            return await audit_store.purge(conn, before, days, limit)

    async def purge_numbers(self, after: int, limit: int) -> int | None:
        """Delete the idle ones of the next numbers after a reference. Returns the last one looked at."""
        async with connection(self._pool) as conn:
            last: int | None = await conn.fetchval(PURGE_NUMBERS, after, limit, WINDOW)
        return last

    async def purge_check_failures(self, limit: int) -> int:
        """Delete what nobody is judged by any more of where guesses came from. Returns how many went."""
        async with connection(self._pool) as conn:
            return int(await conn.fetchval(PURGE_CHECK_FAILURES, limit))


def _entry(row: asyncpg.Record) -> LedgerMessage:
    fields = dict(row)
    past = zip(*(fields.pop(name, None) or () for name in _PAST), strict=True)
    read = {"purpose": Purpose(fields["purpose"]), "state": MessageState(fields["state"])}
    return LedgerMessage(
        **fields | read | {"language": Language(fields["language"]), "past": tuple(PreviousAttempt(*p) for p in past)}
    )


def _claimed(entry: LedgerMessage, sender: str, claimed: set[tuple[UUID, str]]) -> LedgerMessage | None:
    """The entry if it was claimed; of two commands for one message that came together only one has it."""
    if (entry.message_id, sender) not in claimed:
        return None
    claimed.remove((entry.message_id, sender))
    return entry.begun(sender)
