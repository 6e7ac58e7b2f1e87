"""The columns of the table ``accounts``, derived from the models, and the conversion of its rows.

A new field of ``Account`` is read by every statement here, and a new field of ``ChangeProfile`` can be changed.
"""

from dataclasses import replace

import asyncpg

from auth_service.accounts.model import StoredAccount
from auth_service.client_context import ClientContext
from shared.internal_api.auth import Account, ChangeProfile
from shared.sql import Statement

ACCOUNT_FIELDS = tuple(Account.model_fields)

ACCOUNT = ", ".join(f"a.{field}" for field in ACCOUNT_FIELDS)
"""The columns of an ``Account``, for statements that call the table or its rows ``a``."""

STORED_ACCOUNT = (
    f"{ACCOUNT}, a.password_hash, a.password_changed_at, a.tickets_valid_from, a.dialect, a.client, a.last_used_at"
)
"""The columns of a ``StoredAccount``."""

PROFILE_FIELDS = tuple(field for field in ChangeProfile.model_fields if field != "user_id")
"""The columns that users change themselves."""


def with_columns(statement: Statement, columns: str) -> Statement:
    """The statement with ``columns`` in place of ``a.*``.

    A prepared ``select *`` fails when a migration adds a column; a list of columns does not.
    """
    return replace(statement, text=statement.text.replace("a.*", columns))


def account_of(row: asyncpg.Record) -> Account:
    """The account in a row that has the ``ACCOUNT`` columns."""
    return Account(**{field: row[field] for field in ACCOUNT_FIELDS})


def stored_account_of(row: asyncpg.Record | None) -> StoredAccount | None:
    """The account in a row that has the ``STORED_ACCOUNT`` columns; None for no row, or no match of an outer join.

    None for a retired account too, which has no number.
    """
    if row is None or row["user_id"] is None or row["phone"] is None:
        return None
    registered_with = ClientContext(row["dialect"], row["client"])
    return StoredAccount(
        account_of(row),
        row["password_hash"],
        row["password_changed_at"],
        row["tickets_valid_from"],
        registered_with,
        row["last_used_at"],
    )
