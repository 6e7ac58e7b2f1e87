"""Forgetting a number in PostgreSQL: the tables ``verifications``, ``number_activity`` and ``messages``."""

from datetime import datetime

from shared.postgres import Pool, connection
from shared.sql import load_sql

FORGET = load_sql("sms_service.erasure", "forget.sql")


class ErasureStore:
    """``consumer.ErasureRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def forget(self, phone_ref: int, erased_at: datetime) -> int:
        """Delete the verifications from before the erasure, and the networks of the number. Returns how many.

        Messages from before the erasure that still wait are not sent.
        """
        arguments = FORGET.arguments(phone_ref=phone_ref, erased_at=erased_at)
        async with connection(self._pool) as conn:
            return int(await conn.fetchval(FORGET.text, *arguments))
