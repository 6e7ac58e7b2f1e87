# ruff: noqa: INP001  alembic runs it as a script
"""The tables of auth-service.

They need no extension, sequence or foreign key, so that any PostgreSQL will do, a distributed one too. Only the audit
trail has a trigger.
"""

from alembic import op

revision = "0001"
down_revision = None

# A user id is random in [2^47, 2^53): exact in JavaScript, and it does not tell how many users there are.
# No other table has a phone number in clear. name_key is the username without case, and null without a username.
# A ticket that was made before tickets_valid_from is dead.
ACCOUNTS = """
    create table accounts (
        user_id bigint primary key check (user_id >= 140737488355328 and user_id < 9007199254740992),
        phone text not null,
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
        password_changed_at timestamptz not null default now(),
        tickets_valid_from timestamptz not null default now(),
        banned_at timestamptz,
        constraint accounts_phone_key unique (phone),
        constraint accounts_name_key unique (name_key)
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

# A used token has the salt of its successor: together with the token, which is not stored, it gives the same successor
# again. A row may be deleted after expires_at, 30 days after its use; the session decides whether a token is usable.
REFRESH_TOKENS = """
    create table refresh_tokens (
        token_hash bytea primary key,
        session_id uuid not null,
        begins_chain boolean not null default false,
        salt bytea,
        spent_at timestamptz,
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

# The seals over the audit log, each over a batch of rows and over the seal before it. digests has 32 bytes for each id.
AUDIT_SEALS = """
    create table audit_seals (
        number bigint primary key,
        sealed_at timestamptz not null,
        key_id int not null,
        first_at timestamptz not null,
        last_at timestamptz not null,
        ids uuid[] not null,
        digests bytea not null,
        hash bytea not null
    )
"""

# Where the stored seals start: the last one that retention deleted, and the proof that it did.
AUDIT_CHAIN = """
    create table audit_chain (
        start_number bigint primary key,
        start_hash bytea not null,
        key_id int not null default 0,
        proof bytea not null default ''
    )
"""
START_AUDIT_CHAIN = "insert into audit_chain (start_number, start_hash) values (0, decode(repeat('00', 32), 'hex'))"

# The tables of the audit trail refuse changes, of their owner too, outside of the two functions below. These run as the
# owner, so a service needs no right to change or delete a row.
REFUSE_AUDIT_CHANGE = """
    create function refuse_audit_change() returns trigger language plpgsql as $$
    begin
        if current_setting('haoma.audit_change', true) = 'on'
            and current_user = (select pg_get_userbyid(relowner) from pg_class where oid = tg_relid)
        then
            return null;
        end if;
        raise exception 'rows of % are only added', tg_table_name using errcode = 'insufficient_privilege';
    end
    $$
"""
AUDIT_TRIGGERS = tuple(
    f"create trigger {table}_is_append_only before update or delete or truncate on {table} "
    "for each statement execute function refuse_audit_change()"
    for table in ("audit_log", "audit_seals", "audit_chain")
)
ERASE_AUDIT_ROWS = """
    create function erase_audit_rows(of_user bigint, of_phone bigint, erasure uuid) returns bigint
    language plpgsql security definer set search_path = public, pg_temp as $$
    declare emptied bigint;
    begin
        perform set_config('haoma.audit_change', 'on', true);
        update audit_log
        set user_id = null, phone_ref = null, session_id = null, network = '', reason = '', salt = null,
            erased_by = erasure
        where user_id = of_user or (user_id is null and phone_ref = of_phone);
        get diagnostics emptied = row_count;
        perform set_config('haoma.audit_change', '', true);
        return emptied;
    end
    $$
"""
DELETE_AUDIT_UNTIL = """
    create function delete_audit_until(until_number bigint, until_hash bytea, with_key int, with_proof bytea)
    returns bigint language plpgsql security definer set search_path = public, pg_temp as $$
    declare deleted bigint;
    begin
        perform set_config('haoma.audit_change', 'on', true);
        delete from audit_log where id in (select unnest(ids) from audit_seals where number <= until_number);
        get diagnostics deleted = row_count;
        delete from audit_seals where number <= until_number;
        update audit_chain
        set start_number = until_number, start_hash = until_hash, key_id = with_key, proof = with_proof
        where start_number < until_number;
        perform set_config('haoma.audit_change', '', true);
        return deleted;
    end
    $$
"""

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

LOGIN_FAILURES = """
    create table login_failures (
        bucket text primary key,
        failures integer not null,
        resets_at timestamptz not null
    )
"""

# How often users change their account: when all changes of an hour are allowed again.
USER_CHANGES = """
    create table user_changes (
        user_id bigint primary key,
        full_at timestamptz not null
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
    "create index refresh_tokens_session_id on refresh_tokens (session_id)",
    "create index refresh_tokens_expires_at on refresh_tokens (expires_at)",
    "create index spent_tickets_spent_at on spent_tickets (spent_at)",
    "create index known_networks_proven_on on known_networks (proven_on)",
    "create index audit_log_at on audit_log (at)",
    "create index audit_log_user_id_at on audit_log (user_id, at)",
    # Refusals that have a number and no user: erasing the account of the number finds them.
    "create index audit_log_phone_ref on audit_log (phone_ref) where user_id is null and phone_ref is not null",
    "create index audit_seals_last_at on audit_seals (last_at)",
    "create index login_failures_resets_at on login_failures (resets_at)",
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
    AUDIT_SEALS,
    AUDIT_CHAIN,
    JOB_LEASES,
    AUDIT_READERS,
    LOGIN_FAILURES,
    USER_CHANGES,
    OUTBOX,
)

AUDIT_RULES = (START_AUDIT_CHAIN, REFUSE_AUDIT_CHANGE, *AUDIT_TRIGGERS, ERASE_AUDIT_ROWS, DELETE_AUDIT_UNTIL)


def upgrade() -> None:
    """Create the tables."""
    op.execute("set local lock_timeout = '2s'")
    for statement in (*TABLES, *INDEXES, ADD_AUDIT_READERS, *AUDIT_RULES):
        op.execute(statement)
