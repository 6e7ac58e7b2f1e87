"""Tickets spent on signing in, in PostgreSQL."""

from uuid import UUID

from auth_service.accounts.columns import KEPT, stored_account_of
from auth_service.accounts.model import StoredAccount
from auth_service.sessions.code_login import Spent
from shared.internal_api.sms import Purpose
from shared.phone import E164
from shared.postgres import Pool, connection

HOLDER = f"select {KEPT} from accounts a where a.phone = $1"  # noqa: S608  our own list of columns

SPEND = """
    insert into spent_tickets as t (verification_id, purpose, user_id) values ($1, $2, $3)
    on conflict (verification_id) do update set repeats = t.repeats + 1
    returning user_id, spent_at, repeats
"""


class CodeLoginStore:
    """``code_sign_in.CodeLoginRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def holder(self, phone: E164) -> StoredAccount | None:
        """The account of the number."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(HOLDER, phone)
        return stored_account_of(row) if row else None

    async def spend(self, verification_id: UUID, user_id: int) -> Spent:
        """Spend the ticket for this user, or count a repeat; either way, say who was first."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(SPEND, verification_id, Purpose.SIGN_IN, user_id)
        assert row is not None  # noqa: S101  it inserts or updates, and returns what it left
        return Spent(*row)
