"""The directory of registered numbers, and the outbox."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    create table directory (
        user_id    bigint      primary key,
        phone_ref  bigint,
        nickname   text        not null,
        avatar     text        not null,
        visible    boolean     not null,
        version    integer     not null,
        since      timestamptz not null,
        updated_at timestamptz not null default now(),
        constraint directory_gone_is_hidden check (phone_ref is not null or not visible)
    )
    """,
    "create index directory_phone_ref on directory (phone_ref)",
    "create index directory_updated_at on directory (updated_at)",
    """
    comment on table directory is
        'Users as auth-service last told of them. A row without phone_ref is a deleted user: it stays, so that '
        'no older event revives him.'
    """,
    "comment on column directory.phone_ref is 'The number under a secret key: no clear number is kept here.'",
    "comment on column directory.since is 'When the fact happened that this row tells: decides who holds a number.'",
    "comment on column directory.updated_at is 'When this row was written: the filters of all replicas follow it.'",
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
)


def upgrade() -> None:
    """Create both tables."""
    for statement in STATEMENTS:
        op.execute(statement)
