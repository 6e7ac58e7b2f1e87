# ruff: noqa: INP001  alembic runs it as a script
"""What an account may carry besides its number: a login name, a gender, a motto, an e-mail address, a level, a type."""

from alembic import op

revision = "0002"
down_revision = "0001"

# ``name_key`` is the name as it is compared: without the difference of case. A null is equal to no other null.
COLUMNS = """
    alter table accounts
        add column name text,
        add column name_key text,
        add column gender text not null default 'none' check (gender in ('none', 'female', 'male')),
        add column motto text not null default '',
        add column email text not null default '',
        add column level integer not null default 0,
        add column type integer not null default 0
"""
UNIQUE_NAME = "create unique index accounts_name_key on accounts (name_key)"


def upgrade() -> None:
    """Add the columns; each has a default that needs no rewriting of the table."""
    op.execute("set local lock_timeout = '2s'")
    op.execute(COLUMNS)
    op.execute(UNIQUE_NAME)
