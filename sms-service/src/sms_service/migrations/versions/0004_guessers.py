"""Where wrong tries came from: beside each on its number, and together by network."""

from alembic import op

revision = "0004"
down_revision = "0003"

# As long as `failures`, and in its order; empty where the place is unknown or not limited.
FAILED_FROM = "alter table number_activity add column failure_networks text[] not null default '{}'"
FILL = """
    update number_activity set failure_networks = array_fill(''::text, array[cardinality(failures)]) where failures <> '{}'
"""

# A window opens with the first wrong try; one without any is closed.
GUESSERS = """
    create table check_failures_by_network (
        network text primary key,
        failures int not null,
        resets_at timestamptz not null
    )
"""


def upgrade() -> None:
    """Add the column and the table; earlier wrong tries came from nowhere."""
    op.execute("set local lock_timeout = '2s'")
    for statement in (FAILED_FROM, FILL, GUESSERS):
        op.execute(statement)
