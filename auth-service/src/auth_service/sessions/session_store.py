"""Sessions in PostgreSQL, known by the SHA-256 of their token; a user has at most ``MAX_SESSIONS``."""

from collections.abc import Callable, Sequence

from auth_service import audit_store
from auth_service.accounts import events
from auth_service.accounts.columns import SHOWN, account_of
from auth_service.accounts.model import AuditEntry, CountedFailure, EndedSession, NewSession, StoredAccount
from shared import outbox
from shared.events import OutboxMessage
from shared.internal_api.auth import Account, Resolved
from shared.postgres import Connection, Pool, connection, transaction

MAX_SESSIONS = 100

# Everything hangs on the first step: with a password that was changed, or an account that was banned, since the
# verifier was read, nothing is written. It locks the account, so that openings for one user take turns. Charges are
# locked in the order in which LogInStore locks them.
OPEN = f"""
    with a as (
        update accounts set last_login_at = now(), password_hash = coalesce($3, password_hash)
        where user_id = $1 and password_changed_at = $2 and banned_at is null
        returning *
    ), opened as (
        insert into sessions (token_hash, session_id, user_id, client, dialect, expires_at)
        select $4, $5, user_id, $6, $7, now() + interval '30 days' from a
    ), noted as (
        insert into audit_log (id, action, user_id, phone_ref, client, dialect, network)
        select $8, $9, user_id, $10, $6, $7, $11 from a
    ), told as (
        insert into outbox (id, exchange, routing_key, body)
        select m.* from a, unnest($12::uuid[], $13::text[], $14::text[], $15::bytea[]) as m
    ), charged as (
        select f.bucket from login_failures f
        join unnest($16::text[], $17::timestamptz[]) as c (bucket, resets_at) using (bucket, resets_at)
        where exists (select from a)
        order by f.bucket for update of f
    ), refunded as (
        update login_failures f set failures = greatest(f.failures - 1, 0) from charged where f.bucket = charged.bucket
    )
    select {SHOWN} from a
"""  # noqa: S608  our own list of columns

FIND = f"""
    select s.session_id, s.expires_at < now() + interval '29 days' as due, {SHOWN}
    from sessions s join accounts a on a.user_id = s.user_id
    where s.token_hash = $1 and s.expires_at > now() and a.banned_at is null
"""  # noqa: S608  our own list of columns

SLIDE = """
    update sessions set expires_at = now() + interval '30 days'
    where token_hash = $1 and expires_at < now() + interval '29 days'
"""

# A statement of its own, because only one that begins under the account's lock sees what other openings committed.
# Those that expired go first, then the oldest; never the one just opened. The bound is for what an older release left.
CROWD_OUT = """
    with ended as (
        delete from sessions where token_hash in (
            select token_hash from sessions where user_id = $1 and session_id <> $2
            order by expires_at > now() desc, opened_at desc, session_id desc offset $3 limit 1000
        )
        returning session_id, user_id, client
    ), dropped as (
        delete from refresh_tokens where session_id in (select session_id from ended)
    )
    select * from ended
"""


class SessionStore:
    """``sessions.SessionRepository`` over PostgreSQL. ``wake`` is called after each commit that left messages."""

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def open(
        self,
        held: StoredAccount,
        session: NewSession,
        attempt: AuditEntry,
        message: OutboxMessage,
        *,
        new_hash: str | None = None,
        charges: Sequence[CountedFailure] = (),
    ) -> Account | None:
        """Write a session with all that belongs to it; ``None`` when password or ban changed meanwhile."""
        origin = session.origin
        async with transaction(self._pool) as conn:
            row = await conn.fetchrow(
                OPEN,
                held.account.user_id, held.password_changed_at, new_hash,
                session.token_hash, session.session_id, origin.client, origin.dialect,
                *audit_store.columns(attempt),
                *outbox.columns([message]),
                [charge.bucket for charge in charges],
                [charge.resets_at for charge in charges],
            )  # fmt: skip
            if row is None:
                return None
            await _crowd_out(conn, session)
        self._wake()
        return account_of(row)

    async def find(self, token_hash: bytes) -> Resolved | None:
        """The living session of this token; its expiry moves forward at most once a day."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(FIND, token_hash)
            if row is None:
                return None
            if row["due"]:
                await conn.execute(SLIDE, token_hash)
        return Resolved(session_id=row["session_id"], account=account_of(row))


async def _crowd_out(conn: Connection, opened: NewSession) -> None:
    """End the user's oldest sessions beyond ``MAX_SESSIONS``, and tell."""
    rows = await conn.fetch(CROWD_OUT, opened.user_id, opened.session_id, MAX_SESSIONS - 1)
    if rows:
        await outbox.put(conn, [events.session_revoked(EndedSession(*row), "crowded_out") for row in rows])
