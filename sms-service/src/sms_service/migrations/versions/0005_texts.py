"""What chooses the words of a message beside its language: its client. And how many short messages each text was."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns; messages already waiting are of no known client, and every text so far was one segment."""
    op.execute("set local lock_timeout = '2s'")
    op.execute("alter table messages add column client text not null default ''")
    op.execute("alter table attempts add column segments int not null default 1")
