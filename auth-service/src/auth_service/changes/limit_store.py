"""The limits on changes in PostgreSQL: a moment for each user and kind of change, in GCRA, for all processes."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from auth_service.audit import AuditEntry
from auth_service.audit_store import add_entry
from auth_service.client_context import NO_CONTEXT
from shared.errors import ErrorCode, ServiceError
from shared.postgres import Connection, Pool, connection, transaction

PERIOD = timedelta(hours=1)
LIMITED: Final = "change.limited"
"""The action of the audit row of a refused change. Its detail is the change."""

# ``full_at`` is when all changes of an hour are allowed again; each change moves it by its share of the hour. An erased
# user leaves no counter behind. $2 is the counter: the kind of change, or with the session.
CHARGE = """
    insert into user_changes as c (user_id, counter, full_at)
    select user_id, $2, now() + $3::interval from accounts where user_id = $1
    on conflict (user_id, counter) do update set full_at = greatest(c.full_at, now()) + $3
    where greatest(c.full_at, now()) + $3 <= now() + $4::interval
    returning true
"""

WAIT = """
    select ceil(extract(epoch from full_at + $3::interval - $4::interval - now()))::int as seconds,
        refusal_recorded_at is null or refusal_recorded_at <= now() - $4::interval as is_unrecorded
    from user_changes where user_id = $1 and counter = $2
"""

# However often a counter refuses, the audit log gets one row in ``PERIOD``. Retention keeps the counter longer.
SAMPLE_REFUSAL = """
    update user_changes set refusal_recorded_at = now()
    where user_id = $1 and counter = $2
        and (refusal_recorded_at is null or refusal_recorded_at <= now() - $3::interval)
    returning true
"""

FORGET = "delete from user_changes where user_id = $1"


async def forget_changes(conn: Connection, user_id: int) -> None:
    """Forget the changes of an erased user, inside the caller's transaction. The id is never given again."""
    await conn.execute(FORGET, user_id)


class ChangeLimit:
    """``model.ChangeLimits``: ``allowed`` changes of each kind at once, refilled evenly over an hour; or any number."""

    def __init__(self, pool: Pool, allowed: int | None) -> None:
        self._pool = pool
        self._interval = None if allowed is None else PERIOD / allowed

    async def charge(self, user_id: int, change: str, *, weight: int = 1, session_id: UUID | None = None) -> None:
        """Count one change, or a call that is as much as ``weight`` changes, of all sessions or of this one alone.

        Raises ``CALLER_LIMIT`` with the seconds to wait, and then counts nothing.

        The audit log gets one refusal an hour for each counter, which names the ``change``. Nothing is counted for a
        user without an account: what they ask for is refused anyway.
        """
        if self._interval is None:
            return
        cost = min(weight * self._interval, PERIOD)
        counter = change if session_id is None else f"{change} {session_id}"
        async with connection(self._pool) as conn:
            if await conn.fetchval(CHARGE, user_id, counter, cost, PERIOD):
                return
            wait = await conn.fetchrow(WAIT, user_id, counter, cost, PERIOD)
        if wait is None:
            return
        if wait["is_unrecorded"]:
            await self._record_refusal(user_id, change, counter)
        raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=max(1, wait["seconds"]))

    async def _record_refusal(self, user_id: int, change: str, counter: str) -> None:
        async with transaction(self._pool) as conn:
            if await conn.fetchval(SAMPLE_REFUSAL, user_id, counter, PERIOD):
                await add_entry(conn, AuditEntry(LIMITED, None, NO_CONTEXT, user_id, detail=change))
