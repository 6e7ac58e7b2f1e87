"""Verifications and the numbers they belong to: their SQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from shared.batching import Apart, Gather
from shared.events import Outgoing
from shared.internal_api.sms import Purpose
from shared.postgres import Pool, connection, is_undone
from sms_service.spending.prefixes import Area
from sms_service.verification import audit_store, check_store, request_store
from sms_service.verification.audit_events import Happening
from sms_service.verification.check_store import Guess, Success
from sms_service.verification.limits import Standing, Verification
from sms_service.verification.models import Dispatch, Passed, Try

STANDING = """
    select now() as now, n.version as number_version, n.sends,
        v.verification_id, v.code_key_id, v.created_at, v.expires_at, v.tries, v.verified_at, v.version
    from unnest($1::bigint[], $2::text[]) with ordinality as asked (phone_ref, purpose, position)
    left join numbers n using (phone_ref)
    left join verifications v using (phone_ref, purpose)
    order by asked.position
"""

SENDS = "select now(), (select sends from numbers where phone_ref = $1)"


class CodeStore:
    """Verifications and the numbers they belong to."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._standing = Gather(self._standings)
        self._dispatch = Apart(self._dispatch_all, lambda asked: {asked.phone_ref}, is_undone)
        self._count_try = Apart(self._count_all, lambda guess: _changed(guess.phone_ref, guess.guesser), is_undone)
        self._succeed = Apart(
            self._succeed_all, lambda right: _changed(right.attempt.phone_ref, right.attempt.guesser), is_undone
        )

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
            return await request_store.write(taken, dispatches)

    async def tell(self, messages: Sequence[Outgoing], happening: Happening) -> None:
        """Keep a happening and add the events that tell it."""
        async with connection(self._pool) as taken:
            await audit_store.tell(taken, messages, happening)

    async def note_dead(
        self, phone_ref: int | None, purpose: Purpose, verification_id: UUID | None, dialect: str
    ) -> None:
        """Keep that a code came back which opens nothing, if there is a verification it was meant for."""
        async with connection(self._pool) as taken:
            await audit_store.note_dead(taken, phone_ref, purpose, verification_id, dialect)

    async def count_try(
        self, phone_ref: int, purpose: Purpose, verification_id: UUID | None, guesser: str | None
    ) -> Try | None:
        """Count a try on the code of a number and purpose; None when there is none that may be tried."""
        return await self._count_try(Guess(phone_ref, purpose, verification_id, guesser))

    async def _count_all(self, guesses: Sequence[Guess]) -> list[Try | None]:
        async with connection(self._pool) as taken:
            return await check_store.count(taken, guesses)

    async def count_try_by_id(self, verification_id: UUID, purpose: Purpose, guesser: str | None) -> Try | None:
        """As ``count_try``, for who knows only the verification."""
        async with connection(self._pool) as taken:
            return await check_store.count_by_id(taken, Guess(None, purpose, verification_id, guesser))

    async def succeed(self, attempt: Try, event: Outgoing, dialect: str, area: Area | None = None) -> Passed | None:
        """Mark as verified and give the try back; None when a newer verification has taken its place.

        ``area`` is where it is counted, if anywhere: once, beside the send of its code.
        """
        return await self._succeed(Success(attempt, event, dialect, area))

    async def _succeed_all(self, successes: Sequence[Success]) -> list[Passed | None]:
        async with connection(self._pool) as taken:
            return await check_store.succeed(taken, successes)


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
