"""Deletes old rows from PostgreSQL."""

from uuid import UUID

from shared.postgres import Pool, connection
from shared.tickets import LIFETIME
from sms_service.verification.send_limits import WINDOW

PURGE_MESSAGES = """
    with purged_messages as (
        delete from messages where message_id in (
            select message_id from messages
            where message_id < $1 and created_at < now() - make_interval(days => $2)
            order by message_id limit $3
        )
        returning message_id
    ), purged_attempts as (
        delete from attempts a using purged_messages m where a.message_id = m.message_id
    )
    select count(*) from purged_messages
"""

PURGE_VERIFICATIONS = """
    with purged_verifications as (
        delete from verifications where verification_id in (
            select verification_id from verifications
            where verification_id < $1
                and greatest(expires_at, verified_at + $4::interval) < now() - make_interval(days => $2)
            order by verification_id limit $3 for update skip locked
        )
        returning 1
    )
    select count(*) from purged_verifications
"""

# A number whose limits were lifted has no sends, but may have a code: without its row it would be taken for a new one.
PURGE_NUMBER_ACTIVITY = """
    with examined_numbers as (
        select phone_ref from number_activity where phone_ref > $1 order by phone_ref limit $2
    ), idle_numbers as (
        select n.phone_ref from examined_numbers join number_activity n using (phone_ref)
        where not exists (select from unnest(n.sends || n.failures) moment where moment > now() - $3::interval)
            and not exists (
                select from verifications v where v.phone_ref = n.phone_ref and v.created_at > now() - $3::interval
            )
        for update of n skip locked
    ), purged_numbers as (
        delete from number_activity n using idle_numbers i where n.phone_ref = i.phone_ref
    )
    select max(phone_ref) from examined_numbers
"""

PURGE_CHECK_FAILURES = """
    with purged_failures as (
        delete from check_failures_by_network where network in (
            select network from check_failures_by_network
            where resets_at < now() or failures = 0
            limit $1 for update skip locked
        )
        returning 1
    )
    select count(*) from purged_failures
"""

PURGE_TEST_MESSAGES = """
    with purged_messages as (
        delete from test_messages where message_id in (
            select message_id from test_messages where requested_at < now() - interval '1 day'
            limit $1 for update skip locked
        )
        returning 1
    )
    select count(*) from purged_messages
"""


class RetentionStore:
    """Each call deletes at most ``limit`` rows, together with the rows that belong to them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def purge_messages(self, before: UUID, days: int, limit: int) -> int:
        """Delete messages older than ``days``, with their attempts. Returns how many messages."""
        return await self._count(PURGE_MESSAGES, before, days, limit)

    async def purge_verifications(self, before: UUID, days: int, limit: int) -> int:
        """Delete verifications whose code and ticket expired more than ``days`` ago. Returns how many."""
        return await self._count(PURGE_VERIFICATIONS, before, days, limit, LIFETIME)

    async def purge_number_activity(self, after: int, limit: int) -> int | None:
        """Examine the numbers after a reference, and delete those without recent activity. Returns the last one."""
        async with connection(self._pool) as conn:
            last_ref: int | None = await conn.fetchval(PURGE_NUMBER_ACTIVITY, after, limit, WINDOW)
        return last_ref

    async def purge_check_failures(self, limit: int) -> int:
        """Delete counts of failed checks that no longer limit their network. Returns how many."""
        return await self._count(PURGE_CHECK_FAILURES, limit)

    async def purge_test_messages(self, limit: int) -> int:
        """Delete test messages of more than a day ago. Returns how many."""
        return await self._count(PURGE_TEST_MESSAGES, limit)

    async def _count(self, statement: str, *arguments: object) -> int:
        async with connection(self._pool) as conn:
            return int(await conn.fetchval(statement, *arguments))
