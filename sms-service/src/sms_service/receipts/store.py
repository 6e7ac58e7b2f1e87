"""Receipts in PostgreSQL, on the attempts that they report."""

from collections.abc import Callable

from shared.events.envelope import OutboxMessage
from shared.outbox import put
from shared.postgres import Connection, Pool, transaction
from sms_service.receipts.receipts import ReportedAttempt
from sms_service.senders.port import Receipt

# The attempt may still be open, because a receipt can arrive before the sender's response. Finishing an attempt
# updates other columns.
_LOCK_ATTEMPT = """
    select a.message_id, a.verification_id, now() - m.created_at as age, a.receipt, m.purpose, m.dialect
    from attempts a join messages m using (message_id)
    where a.sender = $1 and a.{key} = $2
    limit 2 for update of a
"""
LOCK_ATTEMPT_BY_MESSAGE_ID = _LOCK_ATTEMPT.format(key="message_id")
LOCK_ATTEMPT_BY_PROVIDER_ID = _LOCK_ATTEMPT.format(key="provider_id")

RECORD_RECEIPT = """
    update attempts set receipt = $3, receipt_detail = $4, receipt_at = now() where message_id = $1 and sender = $2
"""


class ReceiptStore:
    """Where receipts are recorded."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def apply(
        self, sender: str, receipt: Receipt, decide: Callable[[ReportedAttempt], OutboxMessage | None]
    ) -> ReportedAttempt | None:
        """Lock the attempt, let ``decide`` make the event, and write receipt and event in one transaction."""
        async with transaction(self._pool) as conn:
            attempt = await _lock_attempt(conn, sender, receipt)
            if attempt is None:
                return None
            event = decide(attempt)
            if event is not None:
                await conn.execute(RECORD_RECEIPT, attempt.message_id, sender, receipt.status.value, receipt.detail)
                await put(conn, [event])
        return attempt


async def _lock_attempt(conn: Connection, sender: str, receipt: Receipt) -> ReportedAttempt | None:
    """The attempt with our id, else the only one with the provider's id; None if there is no such attempt."""
    keys = ((LOCK_ATTEMPT_BY_MESSAGE_ID, receipt.message_id), (LOCK_ATTEMPT_BY_PROVIDER_ID, receipt.provider_id))
    for lock, key in keys:
        if key:
            rows = await conn.fetch(lock, sender, key)
            if rows:
                return ReportedAttempt(**rows[0]) if len(rows) == 1 else None
    return None
