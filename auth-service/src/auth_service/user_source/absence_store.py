"""What the user source does not have: marks of numbers and names, each for a while (the table ``absent_users``)."""

from shared.phone import E164
from shared.postgres import Pool, connection

STATE = """
    select
        exists (select from accounts where phone = $1) as has_account,
        exists (select from absent_users where mark = $2 and expires_at > now()) as is_absent
"""

REMEMBER = """
    insert into absent_users as u (mark, expires_at) values ($1, now() + make_interval(secs => $2))
    on conflict (mark) do update set expires_at = greatest(u.expires_at, excluded.expires_at)
"""


class AbsenceStore:
    """``user_source.AbsenceRepository`` over PostgreSQL: every replica knows what one of them was answered."""

    def __init__(self, pool: Pool, seconds: int) -> None:
        """An absence is remembered for so many ``seconds``."""
        self._pool = pool
        self._seconds = seconds

    async def find(self, phone: E164 | None, mark: bytes) -> tuple[bool, bool]:
        """Whether the number has an account, and whether the mark is of something that the source does not have."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(STATE, phone, mark)
        assert row is not None  # noqa: S101  a select without a table has exactly one row
        return row["has_account"], row["is_absent"]

    async def remember(self, mark: bytes) -> None:
        """The source does not have this number or name."""
        async with connection(self._pool) as conn:
            await conn.execute(REMEMBER, mark, self._seconds)
