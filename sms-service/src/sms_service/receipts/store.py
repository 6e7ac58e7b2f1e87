"""Receipts on the attempts they are about: their SQL."""

from collections.abc import Callable

from shared.events import OutboxMessage
from shared.outbox import put
from shared.postgres import Pool, transaction
from sms_service.receipts.receipts import Receipt, ReceiptTarget

# The attempt may still be open: a receipt can be quicker than the answer. Finishing touches other columns.
HOLD = """
    select a.message_id, a.verification_id, now() - s.created_at as age, a.receipt
    from attempts a join messages s using (message_id)
    where a.sender = $1 and a.{key} = $2
    for update of a
"""
BY_MESSAGE = HOLD.format(key="message_id")
BY_PROVIDER = HOLD.format(key="provider_id")

SETTLE = """
    update attempts set receipt = $3, receipt_detail = $4, receipt_at = now() where message_id = $1 and sender = $2
"""


class ReceiptStore:
    """Where receipts are recorded."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def apply(
        self, sender: str, receipt: Receipt, decide: Callable[[ReceiptTarget], OutboxMessage | None]
    ) -> bool | None:
        """Hold the attempt, decide, and write receipt and event together."""
        if receipt.message_id is None and not receipt.provider_id:
            return None
        by_message = receipt.message_id is not None
        key = receipt.message_id if by_message else receipt.provider_id
        async with transaction(self._pool) as conn:
            row = await conn.fetchrow(BY_MESSAGE if by_message else BY_PROVIDER, sender, key)
            if row is None:
                return None
            attempt = ReceiptTarget(**row)
            told = decide(attempt)
            if told is None:
                return False
            await conn.execute(SETTLE, attempt.message_id, sender, receipt.fate.value, receipt.detail)
            await put(conn, [told])
        return True
