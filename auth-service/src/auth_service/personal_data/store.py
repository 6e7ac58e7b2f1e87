"""One user's data in PostgreSQL: the tables ``accounts``, ``sessions``, ``known_networks`` and ``audit_log``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from auth_service.accounts.model import StoredAccount
from auth_service.audit import NUMBER_GAINED
from auth_service.sessions.session_store import LIST
from shared.internal_api.auth import LivingSession
from shared.internal_api.personal_data.account import ActivityPage, ActivityRow, ListActivity, PersonalAccount
from shared.internal_api.personal_data.pages import PAGE_ROWS, Cursor
from shared.phone import E164, PhoneKeys
from shared.postgres import Connection, Pool, connection
from shared.sql import load_sql

COUNT_NETWORKS = "select count(*) from known_networks where user_id = $1"
IS_IMPORTED = "select exists (select from imported_accounts where user_id = $1)"

# A number may have been someone else's before: rows that name it and no user are the user's from here on.
NUMBER_SINCE = f"select max(at) from audit_log where user_id = $1 and action in {NUMBER_GAINED}"  # noqa: S608  constants
NOW = "select now()"
ACTIVITY = load_sql("auth_service.personal_data", "activity.sql")


class PersonalDataStore:
    """``personal_data.PersonalDataRepository`` over PostgreSQL. Raises ``ServiceError(UNAVAILABLE)``."""

    def __init__(self, pool: Pool, phones: PhoneKeys) -> None:
        self._pool = pool
        self._phones = phones

    async def account(self, stored: StoredAccount) -> PersonalAccount:
        """What is stored about the user, but for the rows of the audit log."""
        user_id, registered_with = stored.user_id, stored.registered_with
        async with connection(self._pool) as conn:
            number_since: datetime | None = await conn.fetchval(NUMBER_SINCE, user_id)
            return PersonalAccount(
                account=stored.account,
                registered_with=registered_with.dialect,
                registered_by=registered_with.client,
                last_used_at=stored.last_used_at,
                has_password=stored.password_hash is not None,
                password_changed_at=stored.password_changed_at,
                is_imported=await conn.fetchval(IS_IMPORTED, user_id),
                known_networks=await count_networks(conn, user_id),
                sessions=await living_sessions(conn, user_id),
                number_since=number_since or stored.account.created_at,
                exported_at=await conn.fetchval(NOW),
            )

    async def activity(self, request: ListActivity) -> ActivityPage:
        """A page of the rows of the audit log about the user."""
        after = request.after
        arguments = ACTIVITY.arguments(
            user_id=request.user_id,
            phone_ref=self._phones.ref(E164(request.phone)),
            number_since=request.number_since,
            until=request.until,
            after_at=after.at if after else None,
            after_id=after.id if after else None,
            page_rows=PAGE_ROWS,
        )
        async with connection(self._pool) as conn:
            rows: Sequence[Any] = await conn.fetch(ACTIVITY.text, *arguments)
        last = Cursor(at=rows[-1]["at"], id=rows[-1]["id"]) if len(rows) == PAGE_ROWS else None
        return ActivityPage(rows=[_activity_row(row) for row in rows], next=last)


async def living_sessions(conn: Connection, user_id: int) -> list[LivingSession]:
    """The user's sessions, newest first."""
    rows: Sequence[Any] = await conn.fetch(LIST, user_id)
    return [LivingSession(**dict(row)) for row in rows]


async def count_networks(conn: Connection, user_id: int) -> int:
    """How many networks are known to the user's number."""
    return int(await conn.fetchval(COUNT_NETWORKS, user_id))


def _activity_row(row: Any) -> ActivityRow:
    return ActivityRow(**{name: row[name] for name in ActivityRow.model_fields})
