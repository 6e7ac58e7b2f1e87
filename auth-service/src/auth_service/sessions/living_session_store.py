"""The sessions that live, in PostgreSQL, found by the digest of their token or by their id: the table ``sessions``."""

from collections.abc import Sequence

import asyncpg

from auth_service.accounts.columns import ACCOUNT, account_of
from auth_service.sessions.model import TokenSession
from auth_service.sessions.token_digests import TokenHashes
from shared.batching import Batcher
from shared.internal_api.auth import Resolved
from shared.postgres import Connection, Pool, connection

# A token that ends at a time of its own is not prolonged. Its user is seen all the same.
# An opaque token is of the first generation of its session.
# "any" of a list would be planned anew for each call, because PostgreSQL cannot see how long lists are.
FIND_BY_TOKEN = f"""
    select s.token_hash, s.session_id, s.token_ends_at is null as is_extended, {ACCOUNT},
        case when s.token_ends_at is null then s.expires_at < now() + interval '29 days'
            else greatest(a.last_login_at, a.last_used_at) < now() - interval '1 day' end as is_first_use_today
    from sessions s join accounts a on a.user_id = s.user_id
    where s.token_hash in ($1, $2) and s.expires_at > now() and a.banned_at is null
        and (s.token_ends_at is null or s.token_ends_at > now()) and s.oldest_generation = 0
"""  # noqa: S608  our own list of columns

# An account that is locked logs in or changes right now. "skip locked" leaves it to the other statement: waiting for it
# while this one has the session could be a circle, because everyone else locks the account first.
EXTEND = """
    with extended_session as (
        update sessions set expires_at = now() + interval '30 days'
        where token_hash = $1 and expires_at < now() + interval '29 days'
        returning user_id
    )
    update accounts set last_used_at = now()
    where user_id in (
        select a.user_id from accounts a join extended_session s on s.user_id = a.user_id for update of a skip locked
    )
"""

NOTE_USE = """
    update accounts set last_used_at = now()
    where user_id in (
        select user_id from accounts
        where user_id = $1 and greatest(last_login_at, last_used_at) < now() - interval '1 day'
        for update skip locked
    )
"""

FIND_BY_IDS = f"""
    select s.session_id, s.oldest_generation, {ACCOUNT}
    from sessions s join accounts a on a.user_id = s.user_id
    where s.session_id = any ($1::uuid[]) and s.expires_at > now() and a.banned_at is null
"""  # noqa: S608  our own list of columns


class LivingSessionStore:
    """``token_resolver.SessionFinder`` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._find_by_access_token = Batcher(self._find_by_access_tokens)

    async def find_by_token(self, token_hashes: TokenHashes) -> Resolved | None:
        """The session of a token that may be stored by one of these hashes, with its account.

        None if it expired or the account is banned. Its expiry is moved to 30 days from now, unless its token has an
        end of its own, and its user counts as seen, at most once a day.
        """
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(FIND_BY_TOKEN, *token_hashes)
            if row is not None and row["is_first_use_today"]:
                await _note_use(conn, row)
        return _resolved(row)

    async def find_by_access_token(self, session: TokenSession) -> Resolved | None:
        """The session of this id with its account, unless it expired or the account is banned.

        None as well if the session accepts later generations of tokens only.
        """
        return await self._find_by_access_token(session)

    async def _find_by_access_tokens(self, sessions: Sequence[TokenSession]) -> Sequence[Resolved | None]:
        session_ids = [session.session_id for session in sessions]
        async with connection(self._pool) as conn:
            rows = {row["session_id"]: row for row in await conn.fetch(FIND_BY_IDS, session_ids)}
        found = ((rows.get(session.session_id), session.generation) for session in sessions)
        return [_resolved(row if row and row["oldest_generation"] <= generation else None) for row, generation in found]


async def _note_use(conn: Connection, row: asyncpg.Record) -> None:
    if row["is_extended"]:
        await conn.execute(EXTEND, row["token_hash"])
    else:
        await conn.execute(NOTE_USE, row["user_id"])


def _resolved(row: asyncpg.Record | None) -> Resolved | None:
    return None if row is None else Resolved(session_id=row["session_id"], account=account_of(row))
