"""The delivery ledger in PostgreSQL."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from shared.batching import Batcher
from shared.events.envelope import OutboxMessage
from shared.internal_api.sms import AccountNotice, Language, Purpose
from shared.postgres import Pool, connection
from shared.sql import load_sql
from sms_service.delivery.ledger import FinalState, LedgerMessage, MessageState
from sms_service.delivery.routing import PreviousAttempt

_MESSAGE = """
    m.message_id, m.verification_id, m.phone_ref, m.purpose, m.state, m.sender, m.version,
    now() - m.created_at as age, m.expires_at - now() as remaining, m.code_key_id, m.phone_sealed, m.language,
    m.dialect, m.client, m.notice, m.for_known
"""

# A receipt with the status "failed" makes its attempt a failure for the next message with the same code. The age of an
# attempt is that of its message, so that a sender's limits never refuse a request that the cooldown has allowed.
FIND_QUEUED = f"""
    select {_MESSAGE}, p.senders, p.verification_ids, p.outcomes, p.ages
    from messages m, lateral (
        select
            array_agg(a.sender) as senders, array_agg(a.verification_id) as verification_ids,
            array_agg(case a.receipt when 'failed' then 'undelivered' else a.outcome end) as outcomes,
            array_agg(now() - earlier.created_at) as ages
        from attempts a join messages earlier using (message_id)
        where a.phone_ref = m.phone_ref and a.started_at > now() - interval '24 hours'
    ) p
    where m.message_id = any ($1::uuid[]) and m.state = 'queued'
"""  # noqa: S608  put together from constants

FIND_STALE = f"""
    select {_MESSAGE} from messages m
    where m.state in ('queued', 'sending')
        and case m.state when 'queued' then m.expires_at <= now() else m.claimed_at <= now() - $1::interval end
    order by m.created_at limit $2
"""  # noqa: S608  as above

CLAIM_MESSAGES = load_sql("sms_service.delivery", "claim_messages.sql")
FAIL_OVER = load_sql("sms_service.delivery", "fail_over.sql")
FINISH_MESSAGES = load_sql("sms_service.delivery", "finish_messages.sql")

_PREVIOUS_ATTEMPTS = ("senders", "verification_ids", "outcomes", "ages")


class LedgerStore:
    """The ledger without budgets. Calls that arrive together share a statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._find_queued = Batcher(self._find_all_queued)
        self._claim = Batcher(self._claim_all)
        self._finish = Batcher(self._finish_all)

    async def find_queued(self, message_id: UUID) -> LedgerMessage | None:
        """A message that has not been claimed, with the attempts of the last 24 hours for its number; None if none."""
        return await self._find_queued(message_id)

    async def _find_all_queued(self, message_ids: Sequence[UUID]) -> list[LedgerMessage | None]:
        async with connection(self._pool) as conn:
            rows = await conn.fetch(FIND_QUEUED, message_ids)
        messages = {row["message_id"]: _message(row) for row in rows}
        return [messages.get(message_id) for message_id in message_ids]

    async def claim(self, message: LedgerMessage, sender: str) -> LedgerMessage | None:
        """Begin the first attempt, once. None if the message has been claimed, has ended, or its code has expired."""
        return await self._claim((message, sender))

    async def _claim_all(self, claims: Sequence[tuple[LedgerMessage, str]]) -> list[LedgerMessage | None]:
        arguments = CLAIM_MESSAGES.arguments(
            message_ids=[message.message_id for message, _ in claims],
            claims=[_claim_row(message, sender) for message, sender in claims],
        )
        async with connection(self._pool) as conn:
            rows = await conn.fetch(CLAIM_MESSAGES.text, *arguments)
        claimed = {(row["message_id"], row["sender"]) for row in rows}
        return [_take_claimed(message, sender, claimed) for message, sender in claims]

    async def fail_over(self, message: LedgerMessage, sender: str, first: FinalState) -> LedgerMessage | None:
        """End the first attempt and begin the second. None if the code has expired or the message has ended."""
        arguments = FAIL_OVER.arguments(
            message_id=message.message_id,
            version=message.version,
            sender=sender,
            outcome=first.outcome,
            detail=first.detail,
            provider_id=first.provider_id,
            segments=message.segments,
        )
        async with connection(self._pool) as conn:
            moved = await conn.fetchval(FAIL_OVER.text, *arguments)
        return message.with_attempt(sender) if moved else None

    async def find_stale(self, abandoned_after: timedelta, limit: int) -> Sequence[LedgerMessage]:
        """Messages claimed so long ago that their worker must be dead, and queued ones whose code has expired."""
        async with connection(self._pool) as conn:
            return [_message(row) for row in await conn.fetch(FIND_STALE, abandoned_after, limit)]

    async def finish(self, message: LedgerMessage, final_state: FinalState, event: OutboxMessage) -> bool:
        """Record a final state and its event. False if another worker has changed the message since it was read."""
        return await self._finish((message, final_state, event))

    async def _finish_all(self, finished: Sequence[tuple[LedgerMessage, FinalState, OutboxMessage]]) -> list[bool]:
        arguments = FINISH_MESSAGES.arguments(
            message_ids=[message.message_id for message, _, _ in finished],
            final_states=[_final_row(*each) for each in finished],
        )
        async with connection(self._pool) as conn:
            rows = await conn.fetch(FINISH_MESSAGES.text, *arguments)
        recorded = {row["event_id"] for row in rows}
        return [event.id in recorded for _, _, event in finished]


def _claim_row(message: LedgerMessage, sender: str) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "version": message.version,
        "sender": sender,
        "segments": message.segments,
    }


def _final_row(message: LedgerMessage, final_state: FinalState, event: OutboxMessage) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "version": message.version,
        "state": final_state.state.value,
        "failure": final_state.failure,
        "outcome": final_state.outcome,
        "detail": final_state.detail,
        "provider_id": final_state.provider_id,
        "event_id": event.id,
        "exchange": event.exchange,
        "routing_key": event.routing_key,
        "body": event.body,
    }


def _message(row: asyncpg.Record) -> LedgerMessage:
    fields = dict(row)
    attempts = zip(*(fields.pop(name, None) or () for name in _PREVIOUS_ATTEMPTS), strict=True)
    return LedgerMessage(
        **fields
        | {
            "purpose": Purpose(fields["purpose"]),
            "state": MessageState(fields["state"]),
            "language": Language(fields["language"]),
            "notice": AccountNotice(fields["notice"]),
            "previous_attempts": tuple(PreviousAttempt(*attempt) for attempt in attempts),
        }
    )


def _take_claimed(message: LedgerMessage, sender: str, claimed: set[tuple[UUID, str]]) -> LedgerMessage | None:
    """The message if it was claimed. Of two commands for it in one batch, only the first gets it."""
    if (message.message_id, sender) not in claimed:
        return None
    claimed.remove((message.message_id, sender))
    return message.with_attempt(sender)
