"""Tickets spent on logging in, in PostgreSQL: the tables ``accounts`` and ``spent_tickets``."""

from uuid import UUID

from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of
from auth_service.accounts.model import StoredAccount
from auth_service.sessions.code_login import TicketUse
from shared.internal_api.sms import Purpose
from shared.phone import E164
from shared.postgres import Pool, connection

FIND_ACCOUNT = f"select {STORED_ACCOUNT} from accounts a where a.phone = $1"  # noqa: S608  our own list of columns

SPEND_TICKET = """
    insert into spent_tickets as t (verification_id, purpose, user_id) values ($1, $2, $3)
    on conflict (verification_id) do update set repeats = t.repeats + 1
    returning user_id, spent_at, repeats
"""


class CodeLoginStore:
    """``code_login.CodeLoginRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find_account(self, phone: E164) -> StoredAccount | None:
        """The account of the number."""
        async with connection(self._pool) as conn:
            return stored_account_of(await conn.fetchrow(FIND_ACCOUNT, phone))

    async def spend_ticket(self, verification_id: UUID, user_id: int) -> TicketUse:
        """Spend the ticket for this user, or count a repeat; the first use decides."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(SPEND_TICKET, verification_id, Purpose.SIGN_IN, user_id)
        assert row is not None  # noqa: S101  it inserts or updates, and returns the row
        return TicketUse(*row)
