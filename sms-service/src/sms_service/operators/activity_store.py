"""The activity of a number, for operators: the table ``number_activity``."""

from collections.abc import Sequence

from shared.postgres import Pool, connection

SEND_NETWORKS = "select send_networks from number_activity where phone_ref = $1"

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

    async def send_networks(self, phone_ref: int) -> Sequence[str]:
        """For whom codes were sent to a number, as ``Send`` has it."""
        async with connection(self._pool) as conn:
            return await conn.fetchval(SEND_NETWORKS, phone_ref) or ()

    async def forget(self, phone_ref: int) -> bool:
        """Forget the sends and the incorrect codes of a number; False if there are none."""
        async with connection(self._pool) as conn:
            return await conn.fetchval(FORGET, phone_ref) is not None
