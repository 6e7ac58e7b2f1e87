"""Verifications and the numbers they belong to: their SQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from shared.batching import Batcher, KeyedBatcher
from shared.events import OutboxMessage
from shared.internal_api.sms import Purpose
from shared.postgres import Pool, connection, is_rolled_back
from sms_service.spending.prefixes import NumberPrefixes
from sms_service.verification import audit_store, check_store, request_store
from sms_service.verification.audit_events import VerificationEvent
from sms_service.verification.check_store import CodeCheck, SuccessfulCheck
from sms_service.verification.limits import NumberState, Verification
from sms_service.verification.models import AcceptedRequest, CheckAttempt, Verified

NUMBER_STATE = """
    select now() as now, n.version as number_version, n.sends,
        v.verification_id, v.code_key_id, v.created_at, v.expires_at, v.tries, v.verified_at, v.version
    from unnest($1::bigint[], $2::text[]) with ordinality as asked (phone_ref, purpose, position)
    left join number_activity n using (phone_ref)
    left join verifications v using (phone_ref, purpose)
    order by asked.position
"""

SENDS = "select now(), (select sends from number_activity where phone_ref = $1)"


class VerificationStore:
    """Verifications and the numbers they belong to."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._state = Batcher(self._states)
        self._accept = KeyedBatcher(self._accept_all, lambda asked: {asked.phone_ref}, is_rolled_back)
        self._count_try = KeyedBatcher(
            self._count_all, lambda check: _changed(check.phone_ref, check.source_network), is_rolled_back
        )
        self._succeed = KeyedBatcher(
            self._succeed_all,
            lambda right: _changed(right.attempt.phone_ref, right.attempt.source_network),
            is_rolled_back,
        )

    async def state(self, phone_ref: int, purpose: Purpose) -> NumberState:
        """Where a number stands, read without a lock: ``accept`` finds out whether it still stands there."""
        return await self._state((phone_ref, purpose))

    async def _states(self, asked: Sequence[tuple[int, Purpose]]) -> list[NumberState]:
        refs, purposes = [ref for ref, _ in asked], [purpose.value for _, purpose in asked]
        async with connection(self._pool) as conn:
            rows = await conn.fetch(NUMBER_STATE, refs, purposes)
        return [
            NumberState(row["now"], row["number_version"] or 0, tuple(row["sends"] or ()), _verification(row))
            for row in rows
        ]

    async def sends(self, phone_ref: int) -> tuple[datetime, Sequence[datetime]]:
        """What time it is, and when codes went to a number."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(SENDS, phone_ref)
        assert row is not None  # noqa: S101  it asks for no table's row
        return row[0], row[1] or ()

    async def accept(self, accept: AcceptedRequest) -> bool:
        """Write an accepted request. False when the number has changed since it was decided upon."""
        return await self._accept(accept)

    async def _accept_all(self, requests: Sequence[AcceptedRequest]) -> list[bool]:
        async with connection(self._pool) as conn:
            return await request_store.write(conn, requests)

    async def tell(self, messages: Sequence[OutboxMessage], event: VerificationEvent) -> None:
        """Keep a happening and add the events that tell it."""
        async with connection(self._pool) as conn:
            await audit_store.tell(conn, messages, event)

    async def record_unusable(
        self, phone_ref: int | None, purpose: Purpose, verification_id: UUID | None, dialect: str
    ) -> None:
        """Keep that a code came back which opens nothing, if there is a verification it was meant for."""
        async with connection(self._pool) as conn:
            await audit_store.record_unusable(conn, phone_ref, purpose, verification_id, dialect)

    async def count_try(
        self, phone_ref: int, purpose: Purpose, verification_id: UUID | None, source_network: str | None
    ) -> CheckAttempt | None:
        """Count a try on the code of a number and purpose; None when there is none that may be tried."""
        return await self._count_try(CodeCheck(phone_ref, purpose, verification_id, source_network))

    async def _count_all(self, checks: Sequence[CodeCheck]) -> list[CheckAttempt | None]:
        async with connection(self._pool) as conn:
            return await check_store.count(conn, checks)

    async def count_try_by_id(
        self, verification_id: UUID, purpose: Purpose, source_network: str | None
    ) -> CheckAttempt | None:
        """As ``count_try``, for who knows only the verification."""
        async with connection(self._pool) as conn:
            return await check_store.count_by_id(conn, CodeCheck(None, purpose, verification_id, source_network))

    async def succeed(
        self, attempt: CheckAttempt, event: OutboxMessage, dialect: str, area: NumberPrefixes | None = None
    ) -> Verified | None:
        """Mark as verified and give the try back; None when a newer verification has taken its place.

        ``area`` is where it is counted, if anywhere: once, beside the send of its code.
        """
        return await self._succeed(SuccessfulCheck(attempt, event, dialect, area))

    async def _succeed_all(self, successes: Sequence[SuccessfulCheck]) -> list[Verified | None]:
        async with connection(self._pool) as conn:
            return await check_store.succeed(conn, successes)


def _changed(*rows: int | str | None) -> set[int | str]:
    """What of a number and a guesser a statement is to change."""
    return {row for row in rows if row is not None}


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
