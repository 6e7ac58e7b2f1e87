# ruff: noqa: INP001  alembic runs it as a script
"""The tables of auth-service.

They need no extension, sequence or foreign key, so that any PostgreSQL will do, a distributed one too. Only the audit
trail has a trigger.
"""

from alembic import op

from shared.audit.schema import audit_chain

revision = "0001"
down_revision = None
works_from = "0001"

# A new user id is random in [2^47, 2^53): exact in JavaScript, and it does not tell how many users there are. An
# imported one is as the other system had it.
# No other table has a phone number in clear. name_key is the username without case, and null without a username.
# A ticket that was made before tickets_valid_from is dead. last_used_at is when a session was last used, noted once a
# day; it is null, or before last_login_at, when the user has only logged in since. A retired account has no number.
# A ban without banned_until has no end.
ACCOUNTS = """
    create table accounts (
        user_id bigint primary key check (user_id >= 1 and user_id < 9007199254740992),
        phone text,
        password_hash text,
        name text,
        name_key text,
        nickname text not null,
        gender text not null default 'none' check (gender in ('none', 'female', 'male')),
        motto text not null default '',
        avatar text not null default '',
        thumbnail text not null default '',
        cover text not null default '',
        email text not null default '',
        level integer not null default 0,
        type integer not null default 0,
        discoverable boolean not null default true,
        dialect text not null,
        client text not null,
        version integer not null default 1,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        last_login_at timestamptz not null default now(),
        last_used_at timestamptz,
        password_changed_at timestamptz not null default now(),
        tickets_valid_from timestamptz not null default now(),
        banned_at timestamptz,
        banned_until timestamptz,
        retired_at timestamptz,
        constraint accounts_phone_key unique (phone),
        constraint accounts_name_key unique (name_key),
        constraint accounts_ban_has_a_start check (banned_until is null or banned_at is not null),
        constraint accounts_without_number_are_retired check ((phone is null) = (retired_at is not null))
    )
"""

# An imported session may have a token of another system, which ends at token_ends_at; its use does not prolong it.
# Where that is null, the session and its token end 30 days after their last use. Tokens of a generation below
# oldest_generation have ended; an opaque token is of generation 0.
SESSIONS = """
    create table sessions (
        token_hash bytea primary key,
        session_id uuid not null,
        user_id bigint not null,
        client text not null,
        dialect text not null,
        opened_at timestamptz not null default now(),
        expires_at timestamptz not null,
        token_ends_at timestamptz,
        oldest_generation bigint not null default 0,
        constraint sessions_session_id_key unique (session_id)
    )
"""

# A used token has the salt of its successor: together with the token, which is not stored, it gives the same successor
# again. A row may be deleted after expires_at and 30 days after its use; the session decides whether a token is usable.
# The row of an imported token stays as long as that token, which can be exchanged for a pair of ours.
REFRESH_TOKENS = """
    create table refresh_tokens (
        token_hash bytea primary key,
        session_id uuid not null,
        begins_chain boolean not null default false,
        generation bigint not null default 0,
        salt bytea,
        spent_at timestamptz,
        added_at timestamptz not null default now(),
        expires_at timestamptz not null default now() + interval '30 days'
    )
"""

# Where the user proved the number, by a right code or a right password: keyed references of at most 8 networks, which
# no one can read without the key.
KNOWN_NETWORKS = """
    create table known_networks (
        user_id bigint not null,
        network bigint not null,
        proven_on date not null default current_date,
        primary key (user_id, network)
    )
"""

# Numbers that an account left in the last minutes, by erasure or by a change of number, as keyed marks. A ticket that
# was made before opens no new account.
FREED_NUMBERS = """
    create table freed_numbers (
        mark bytea primary key,
        freed_at timestamptz not null default now()
    )
"""

# A row outlives its ticket, which is valid for ten minutes, so a spent ticket never looks unspent. The network is a
# keyed reference: where the ticket was spent, and where it may be repeated without a secret.
SPENT_TICKETS = """
    create table spent_tickets (
        verification_id uuid primary key,
        purpose text not null,
        user_id bigint not null,
        network bigint not null,
        spent_at timestamptz not null default now(),
        repeats integer not null default 0
    )
"""

# A row is only added. An erasure empties user_id, phone_ref, session_id, network, reason and salt, and leaves in
# erased_by which row of this table says so. actor and reason are the operator's, where one acted.
AUDIT_LOG = """
    create table audit_log (
        id uuid primary key,
        at timestamptz not null default now(),
        action text not null,
        user_id bigint,
        phone_ref bigint,
        session_id uuid,
        client text not null default '',
        dialect text not null default '',
        network text not null default '',
        detail text not null default '',
        actor text not null default '',
        reason text not null default '',
        salt uuid default gen_random_uuid(),
        erased_by uuid
    )
"""

AUDIT = audit_chain(
    "audit_log",
    parameters="of_user bigint, of_phone bigint",
    emptied="user_id = null, phone_ref = null, session_id = null, network = '', reason = '', salt = null",
    condition="user_id = of_user or (user_id is null and phone_ref = of_phone)",
)

# Jobs that only one process does at a time, and when one last took each.
JOB_LEASES = "create table job_leases (job text primary key, taken_at timestamptz not null)"

# How far each kind of event was made from the audit log.
AUDIT_READERS = """
    create table audit_readers (
        name text primary key,
        read_until timestamptz not null
    )
"""
ADD_AUDIT_READERS = """
    insert into audit_readers (name, read_until)
    values ('failed_logins', date_trunc('minute', now())), ('unfamiliar_logins', date_trunc('second', now()))
"""

# Which users of another system were imported, by a keyed mark of their id there: so that a user is imported once, and
# not again after an erasure, which empties user_id. While open_since is tickets_valid_from of the account, nothing has
# ended all its sessions, and a later file may add some. It is null for a user who was banned there.
IMPORTED_ACCOUNTS = """
    create table imported_accounts (
        legacy_mark bytea primary key,
        user_id bigint,
        open_since timestamptz,
        constraint imported_accounts_user_id_key unique (user_id)
    )
"""

# Which tokens of another system were imported, by their keyed digest: so that one is imported once, and not again after
# its session was ended, also if a later file gives it a later end: a row stays for a year after the end of the token.
IMPORTED_SESSIONS = """
    create table imported_sessions (
        token_hash bytea primary key,
        user_id bigint not null,
        ends_at timestamptz
    )
"""

# Numbers and names that the user source does not have (the back end that an app had before), as keyed marks, so that it
# is not asked again until then.
ABSENT_USERS = """
    create table absent_users (
        mark bytea primary key,
        expires_at timestamptz not null
    )
"""

# How often log-ins fail and succeed: when all that a bucket allows is allowed again.
LOGIN_LIMITS = """
    create table login_limits (
        bucket text primary key,
        full_at timestamptz not null
    )
"""

# How often users make each kind of change: when all of an hour are allowed again, and when the audit log last got a row
# about a refused one.
USER_CHANGES = """
    create table user_changes (
        user_id bigint not null,
        counter text not null,
        full_at timestamptz not null,
        refusal_recorded_at timestamptz,
        primary key (user_id, counter)
    )
"""

OUTBOX = """
    create table outbox (
        id uuid primary key,
        exchange text not null,
        routing_key text not null,
        body bytea not null,
        created_at timestamptz not null default now(),
        attempts integer not null default 0,
        parked_at timestamptz
    )
"""

INDEXES = (
    "create index accounts_banned_until on accounts (banned_until) where banned_until is not null",
    "create index sessions_user_id on sessions (user_id)",
    "create index sessions_expires_at on sessions (expires_at)",
    "create index refresh_tokens_session_id on refresh_tokens (session_id)",
    "create index refresh_tokens_expires_at on refresh_tokens (expires_at)",
    "create index imported_sessions_user_id on imported_sessions (user_id)",
    "create index imported_sessions_ends_at on imported_sessions (ends_at) where ends_at is not null",
    "create index spent_tickets_spent_at on spent_tickets (spent_at)",
    "create index known_networks_proven_on on known_networks (proven_on)",
    "create index audit_log_at on audit_log (at)",
    "create index audit_log_user_id_at on audit_log (user_id, at)",
    # The most frequent rows, of refresh tokens, have no number.
    "create index audit_log_phone_ref on audit_log (phone_ref) where phone_ref is not null",
    # What gives a number to an account, and what makes all that gateways know of numbers old.
    """
    create index audit_log_numbers_gained on audit_log (at) where action in (
        'register.succeeded', 'change_phone.succeeded', 'account.imported', 'account.restored', 'backup.restored'
    )
    """,
    "create index absent_users_expires_at on absent_users (expires_at)",
    "create index login_limits_full_at on login_limits (full_at)",
    "create index user_changes_full_at on user_changes (full_at)",
)

TABLES = (
    ACCOUNTS,
    SESSIONS,
    REFRESH_TOKENS,
    KNOWN_NETWORKS,
    FREED_NUMBERS,
    SPENT_TICKETS,
    AUDIT_LOG,
    JOB_LEASES,
    AUDIT_READERS,
    IMPORTED_ACCOUNTS,
    IMPORTED_SESSIONS,
    ABSENT_USERS,
    LOGIN_LIMITS,
    USER_CHANGES,
    OUTBOX,
)


def upgrade() -> None:
    """Create the tables."""
    op.execute("set local lock_timeout = '2s'")
    for statement in (*TABLES, *INDEXES, ADD_AUDIT_READERS, *AUDIT):
        op.execute(statement)
