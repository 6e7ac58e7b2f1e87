"""Rows to values: the columns of an account that statements read, and what is made of them."""

import asyncpg

from auth_service.accounts.model import ClientContext, StoredAccount
from shared.internal_api.auth import Account

_SHOWN = (
    "user_id", "phone", "name", "nickname", "gender", "motto", "avatar", "thumbnail", "cover", "email",
    "level", "type", "discoverable", "created_at", "updated_at", "last_login_at", "banned_at", "version",
)  # fmt: skip
SHOWN = ", ".join(f"a.{column}" for column in _SHOWN)
"""The columns of an ``Account``, for statements in which ``accounts`` is called ``a``."""

KEPT = f"{SHOWN}, a.password_hash, a.password_changed_at, a.dialect, a.client"
"""The columns of a ``StoredAccount``."""


def account_of(row: asyncpg.Record) -> Account:
    """The account in a row that has the ``SHOWN`` columns."""
    return Account(**{column: row[column] for column in _SHOWN})


def stored_account_of(row: asyncpg.Record) -> StoredAccount | None:
    """The account in a row that has the ``KEPT`` columns, if the outer join found one."""
    if row["user_id"] is None:
        return None
    origin = ClientContext(row["dialect"], row["client"])
    return StoredAccount(account_of(row), row["password_hash"], row["password_changed_at"], origin)
