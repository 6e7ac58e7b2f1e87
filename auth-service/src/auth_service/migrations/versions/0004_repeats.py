# ruff: noqa: INP001  alembic runs it as a script
"""How often a ticket was redeemed again."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; its default needs no rewriting of the table."""
    op.execute("set local lock_timeout = '2s'")
    op.execute("alter table spent_tickets add column repeats integer not null default 0")
