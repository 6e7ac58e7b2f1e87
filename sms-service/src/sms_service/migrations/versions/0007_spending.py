"""What is spent on which prefix, what came back of it, and what is done about it."""

from alembic import op

revision = "0007"
down_revision = "0006"

# In millionths of the one currency of the settings file; given back when the sender surely charged nothing.
PRICE = "alter table attempts add column price bigint not null default 0"

# One row for each window of each budget, turned over in place when a newer window begins.
BUDGETS = """
    create table budgets (
        prefix text not null,
        span text not null check (span in ('hour', 'day')),
        starts_at timestamptz not null,
        spent bigint not null,
        primary key (prefix, span)
    )
"""

# By five minutes, in which the message was asked for, and block of numbers. Network and country are prefixes of the
# block, and are summed up when they are judged: a row for a whole country would be fought over.
TRAFFIC = """
    create table prefix_traffic (
        starts_at timestamptz not null,
        range text not null,
        network text not null,
        country text not null,
        sent bigint not null default 0,
        verified bigint not null default 0,
        spent bigint not null default 0,
        primary key (starts_at, range)
    )
"""

# The stage of each scope (`range:+861380013`, `hour:+86`) that is or was in one. `minute` and `admitted` count what a
# slowed one was given. What came before `cleared_at` is no longer held against it.
STAGES = """
    create table prefix_stages (
        scope text primary key,
        stage int not null check (stage between 0 and 3),
        since timestamptz not null,
        until timestamptz not null,
        cleared_at timestamptz,
        stops int not null,
        minute timestamptz not null default 'epoch',
        admitted int not null default 0,
        version int not null
    )
"""

# Work that one process at a time does, and when it last did.
TURNS = "create table job_leases (job text primary key, taken_at timestamptz not null)"


def upgrade() -> None:
    """Add the column and the tables; what was sent before cost nothing that is known."""
    op.execute("set local lock_timeout = '2s'")
    for statement in (PRICE, BUDGETS, TRAFFIC, STAGES, TURNS):
        op.execute(statement)
