"""The activity of a number, for operators: the table ``number_activity``."""

from shared.postgres import Pool, connection

# A new version, so that a decision that was made from the old state is made again.
FORGET = """
    update number_activity set sends = '{}', send_networks = '{}', send_dialects = '{}', withheld_sends = '{}',
        failures = '{}', failure_networks = '{}', version = version + 1
    where phone_ref = $1 and (sends <> '{}' or failures <> '{}')
    returning phone_ref
"""


class NumberActivityStore:
    """``limits.NumberActivityRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def forget(self, phone_ref: int) -> bool:
        """Forget the sends and the incorrect codes of a number; False if there are none."""
        async with connection(self._pool) as conn:
            return await conn.fetchval(FORGET, phone_ref) is not None
