"""Tickets spent on logging in, in PostgreSQL: the tables ``accounts`` and ``spent_tickets``."""

from uuid import UUID

from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of
from auth_service.accounts.model import StoredAccount
from shared.internal_api.sms import Purpose
from shared.phone import E164
from shared.postgres import Pool, connection
from shared.tickets import MAX_REPEATS, REPEAT_WINDOW

FIND_ACCOUNT = f"select {STORED_ACCOUNT} from accounts a where a.phone = $1"  # noqa: S608  our own list of columns

SPEND_TICKET = """
    insert into spent_tickets as t (verification_id, purpose, user_id, network) values ($1, $2, $3, $4)
    on conflict (verification_id) do update set repeats = t.repeats + 1
    where t.user_id = excluded.user_id and t.network = excluded.network
        and t.spent_at > now() - $5::interval and t.repeats < $6
    returning 1
"""


class CodeLoginStore:
    """``code_login.CodeLoginRepository`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find_account(self, phone: E164) -> StoredAccount | None:
        """The account of the number."""
        async with connection(self._pool) as conn:
            return stored_account_of(await conn.fetchrow(FIND_ACCOUNT, phone))

    async def spend_ticket(self, verification_id: UUID, user_id: int, network_ref: int) -> bool:
        """Spend the ticket for this user, or count a repeat. False if it is spent and may not be repeated."""
        values = (verification_id, Purpose.SIGN_IN, user_id, network_ref, REPEAT_WINDOW, MAX_REPEATS)
        async with connection(self._pool) as conn:
            return await conn.fetchval(SPEND_TICKET, *values) is not None
