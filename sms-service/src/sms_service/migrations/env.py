"""What alembic runs to apply the revisions."""

from shared.migrations import run

run()
