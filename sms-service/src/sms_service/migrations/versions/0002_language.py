"""The language that a message is written in, beside what else is known of it."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; messages already waiting are in Chinese, as all were."""
    op.execute("set local lock_timeout = '2s'")
    op.execute("alter table messages add column language text not null default 'zh' check (language in ('zh', 'en'))")
