# ruff: noqa: INP001  alembic runs it as a script
"""Accounts, sessions, spent tickets, the audit, failed log-ins, the outbox.

No extension, sequence, trigger or foreign key: any PostgreSQL will do, distributed ones too.
"""

from alembic import op

revision = "0001"
down_revision = None

# A user id is random in [2^47, 2^53): exact in JavaScript, and telling nobody how many users there are.
# The number's text is here and nowhere else; ``password_hash`` is argon2id over a peppered digest.
ACCOUNTS = """
    create table accounts (
        user_id bigint primary key check (user_id >= 140737488355328 and user_id < 9007199254740992),
        phone text not null,
        password_hash text,
        nickname text not null,
        avatar text not null default '',
        thumbnail text not null default '',
        cover text not null default '',
        discoverable boolean not null default true,
        dialect text not null,
        client text not null,
        version integer not null default 1,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        last_login_at timestamptz not null default now(),
        password_changed_at timestamptz not null default now(),
        banned_at timestamptz,
        constraint accounts_phone_key unique (phone)
    )
"""

SESSIONS = """
    create table sessions (
        token_hash bytea primary key,
        session_id uuid not null,
        user_id bigint not null,
        client text not null,
        dialect text not null,
        opened_at timestamptz not null default now(),
        expires_at timestamptz not null,
        constraint sessions_session_id_key unique (session_id)
    )
"""

# Outlives the ticket (ten minutes): a spent ticket can be told from a fresh one for as long as it opens.
SPENT_TICKETS = """
    create table spent_tickets (
        verification_id uuid primary key,
        purpose text not null,
        user_id bigint not null,
        spent_at timestamptz not null default now()
    )
"""

AUDIT = """
    create table audit_log (
        id uuid primary key,
        at timestamptz not null default now(),
        action text not null,
        user_id bigint,
        phone_ref bigint,
        client text not null,
        dialect text not null,
        network text not null default ''
    )
"""

LOGIN_FAILURES = """
    create table login_failures (
        bucket text primary key,
        failures integer not null,
        resets_at timestamptz not null
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
    "create index sessions_user_id on sessions (user_id)",
    "create index sessions_expires_at on sessions (expires_at)",
    "create index spent_tickets_spent_at on spent_tickets (spent_at)",
    "create index audit_at on audit_log (at)",
    "create index audit_user_id_at on audit_log (user_id, at)",
    "create index login_failures_resets_at on login_failures (resets_at)",
)


def upgrade() -> None:
    """Make the tables."""
    op.execute("set local lock_timeout = '2s'")
    for statement in (ACCOUNTS, SESSIONS, SPENT_TICKETS, AUDIT, LOGIN_FAILURES, OUTBOX, *INDEXES):
        op.execute(statement)
