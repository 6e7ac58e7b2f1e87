"""The import in PostgreSQL: accounts with their marks, sessions, audit entries and events."""

from collections.abc import Sequence

import asyncpg

from auth_service.accounts.columns import STORED_ACCOUNT, stored_account_of, with_columns
from auth_service.accounts.events import user_updated
from auth_service.audit import IMPORTED, Operator
from auth_service.client_context import OPERATOR
from auth_service.imported_sessions.model import ImportedSession
from auth_service.imported_sessions.store import DIALECT, add_sessions, find_owners
from auth_service.importing.candidates import Candidate
from auth_service.importing.importer import ClaimsChangedError, NewUser
from auth_service.importing.judgement import Claims
from shared import outbox
from shared.events.envelope import new_id
from shared.phone import PhoneKeys
from shared.postgres import Connection, Pool, connection, transaction
from shared.sql import load_sql

BATCH_SECONDS = 10.0

MARKS = """
    select i.legacy_mark, i.user_id, a.tickets_valid_from = i.open_since and a.banned_at is null as is_open
    from imported_accounts i left join accounts a on a.user_id = i.user_id
    where i.legacy_mark = any ($1::bytea[])
"""
PHONES = "select phone from accounts where phone = any ($1::text[])"
NAMES = "select name_key from accounts where name_key = any ($1::text[])"
USER_IDS = "select user_id from accounts where user_id = any ($1::bigint[])"
ADD_ACCOUNTS = with_columns(load_sql("auth_service.importing", "add_accounts.sql"), STORED_ACCOUNT)


class ImportStore:
    """``importer.ImportRepository`` over PostgreSQL. The running service publishes the events."""

    def __init__(self, pool: Pool, phones: PhoneKeys, nickname_prefix: str, operator: Operator) -> None:
        self._pool = pool
        self._phones = phones
        self._nickname_prefix = nickname_prefix
        self._operator = operator

    async def claims(self, candidates: Sequence[Candidate]) -> Claims:
        """What of the candidates' ids, numbers and names is taken."""
        refs = {str(each.phone): each.phone_ref for each in candidates}
        names = [each.name_key for each in candidates if each.name_key is not None]
        async with connection(self._pool, BATCH_SECONDS) as conn:
            phones = await conn.fetch(PHONES, list(refs))
            taken_names = await conn.fetch(NAMES, names)
            user_ids = await conn.fetch(USER_IDS, [each.user_id for each in candidates])
            tokens = await find_owners(conn, [session for each in candidates for session in each.sessions.live])
            # Last: of a user whom another import has added meanwhile, the number is not seen without the mark.
            marks = await conn.fetch(MARKS, [each.mark for each in candidates])
        return Claims(
            marks={row["legacy_mark"]: row["user_id"] for row in marks},
            closed={row["user_id"] for row in marks if not row["is_open"]},
            tokens=tokens,
            phones={refs[row["phone"]] for row in phones},
            names={row["name_key"] for row in taken_names},
            user_ids={row["user_id"] for row in user_ids},
        )

    async def add(self, users: Sequence[NewUser], sessions: Sequence[tuple[int, ImportedSession]]) -> None:
        """Write all of them with their audit entries and events, or nothing. Raises ``ClaimsChangedError``."""
        if not users and not sessions:
            return
        try:
            async with transaction(self._pool, BATCH_SECONDS) as conn:
                await self._add_users(conn, users)
                if await add_sessions(conn, sessions, self._operator) != len(sessions):
                    raise ClaimsChangedError
        except asyncpg.UniqueViolationError as error:
            raise ClaimsChangedError from error

    async def _add_users(self, conn: Connection, users: Sequence[NewUser]) -> None:
        if not users:
            return
        rows = await conn.fetch(ADD_ACCOUNTS.text, *self._arguments(users))
        if len(rows) != len(users):
            raise ClaimsChangedError
        accounts = [account for account in map(stored_account_of, rows) if account is not None]
        await outbox.put(conn, [user_updated(account, self._phones) for account in accounts])

    def _arguments(self, users: Sequence[NewUser]) -> list[object]:
        candidates = [each.candidate for each in users]
        profiles = [each.user for each in candidates]
        return ADD_ACCOUNTS.arguments(
            user_ids=[each.user_id for each in candidates],
            marks=[each.mark for each in candidates],
            phones=[each.phone for each in candidates],
            phone_refs=[each.phone_ref for each in candidates],
            password_hashes=[each.password_hash for each in users],
            names=[each.name for each in profiles],
            name_keys=[each.name_key for each in candidates],
            nicknames=[each.user.nickname or f"{self._nickname_prefix}{each.user_id}" for each in candidates],
            genders=[each.gender for each in profiles],
            mottos=[each.motto for each in profiles],
            avatars=[each.avatar for each in profiles],
            thumbnails=[each.thumbnail for each in profiles],
            covers=[each.cover for each in profiles],
            emails=[each.email for each in profiles],
            levels=[each.level for each in profiles],
            types=[each.type for each in profiles],
            discoverables=[each.discoverable for each in profiles],
            created_ats=[each.created_at for each in candidates],
            last_seen_ats=[each.last_seen_at for each in candidates],
            banned_ats=[each.banned_at for each in candidates],
            banned_untils=[each.user.banned_until if each.banned_at else None for each in candidates],
            entry_ids=[new_id() for _ in candidates],
            dialect=DIALECT,
            action=IMPORTED,
            client=OPERATOR.client,
            actor=self._operator.name,
            reason=self._operator.reason,
        )
