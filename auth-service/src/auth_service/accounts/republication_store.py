"""The pages of accounts that are republished, from the table ``accounts``."""

from collections.abc import Sequence

from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of
from auth_service.accounts.model import StoredAccount
from shared.postgres import Pool, connection

PAGE = f"""
    select {STORED_ACCOUNT} from accounts as a where user_id > $1 and phone is not null order by user_id limit $2
"""  # noqa: S608  our own list of columns


class RepublicationStore:
    """``republication.AccountPages`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, after: int, size: int) -> Sequence[StoredAccount]:
        """The next accounts above ``after``, by user id."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(PAGE, after, size)
        return [account for account in map(stored_account_of, rows) if account is not None]
