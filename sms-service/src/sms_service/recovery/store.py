"""Recovery in PostgreSQL: the tables ``verifications`` and ``messages``."""

from shared.postgres import Pool, connection
from shared.tickets import LIFETIME

BATCH = 500

# A code that may still be entered, or whose ticket may still be given again.
DELETE_VERIFICATIONS = """
    delete from verifications where (phone_ref, purpose) in (
        select phone_ref, purpose from verifications
        where (verified_at is null and expires_at > now()) or verified_at > now() - $1::interval
        limit $2 for update
    )
    returning 1
"""

# The sweep of the worker ends them, with their events.
EXPIRE_MESSAGES = """
    update messages set expires_at = now() where message_id in (
        select message_id from messages
        where state in ('queued', 'sending') and expires_at > now()
        limit $1 for update
    )
    returning 1
"""


class RecoveryStore:
    """What ``after-restore`` changes. Raises ``ServiceError(UNAVAILABLE)``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def end_codes(self) -> int:
        """Forget the codes that can be entered or repeated. Returns how many there were."""
        return await self._in_batches(DELETE_VERIFICATIONS, LIFETIME)

    async def expire_messages(self) -> int:
        """Expire the messages that wait: some were sent after the backup. Returns how many there were."""
        return await self._in_batches(EXPIRE_MESSAGES)

    async def _in_batches(self, statement: str, *arguments: object) -> int:
        total = 0
        while changed := await self._batch(statement, *arguments):
            total += changed
        return total

    async def _batch(self, statement: str, *arguments: object) -> int:
        async with connection(self._pool) as conn:
            return len(await conn.fetch(statement, *arguments, BATCH))
