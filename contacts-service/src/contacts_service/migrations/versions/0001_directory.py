"""The directory of registered numbers, the outbox, and the leases of jobs."""

from alembic import op

revision = "0001"
down_revision = None
works_from = "0001"

STATEMENTS = (
    """
    create table directory (
        user_id     bigint      primary key,
        phone_ref   bigint,
        nickname    text        not null,
        avatar      text        not null,
        visible     boolean     not null,
        version     integer     not null,
        occurred_at timestamptz not null,
        updated_at  timestamptz not null default now(),
        constraint directory_deleted_is_hidden check (phone_ref is not null or not visible)
    )
    """,
    "create index directory_phone_ref on directory (phone_ref)",
    "create index directory_updated_at on directory (updated_at)",
    "create index directory_erased on directory (updated_at) where phone_ref is null",
    """
    comment on table directory is
        'Users as in the newest event about them. A row without phone_ref is a deleted user: the row stays for 30 days '
        'so that an older event cannot restore the user.'
    """,
    "comment on column directory.phone_ref is 'A keyed reference of the number: no clear number is stored.'",
    "comment on column directory.occurred_at is 'The time of the event: the later of two users has the number.'",
    "comment on column directory.updated_at is 'When the row was written: filters poll for newer rows.'",
    """
    create table outbox (
        id          uuid        primary key,
        exchange    text        not null,
        routing_key text        not null,
        body        bytea       not null,
        created_at  timestamptz not null default now(),
        attempts    integer     not null default 0,
        parked_at   timestamptz
    )
    """,
    """
    create table job_leases (
        name       text        primary key,
        holder     uuid,
        held_until timestamptz not null default now(),
        due_at     timestamptz not null default now()
    )
    """,
    "insert into job_leases (name) values ('reconciliation')",
    "comment on table job_leases is 'Jobs that one replica does at a time: who does it, until when, when it is due.'",
)


def upgrade() -> None:
    """Create the tables."""
    op.execute("set local lock_timeout = '2s'")
    for statement in STATEMENTS:
        op.execute(statement)
