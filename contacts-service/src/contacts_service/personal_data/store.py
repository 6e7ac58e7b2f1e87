"""A user's entry of the directory in PostgreSQL."""

from shared.internal_api.personal_data.contacts import DirectoryCopy
from shared.postgres import Pool, connection

ENTRY = """
    select nickname, avatar, visible, updated_at from directory where user_id = $1 and phone_ref is not null
"""


class EntryStore:
    """Reads the table ``directory``. Raises ``ServiceError(UNAVAILABLE)``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def entry(self, user_id: int) -> DirectoryCopy | None:
        """What others find of a user; None if no event about them has arrived yet."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(ENTRY, user_id)
        return DirectoryCopy(**dict(row)) if row else None
