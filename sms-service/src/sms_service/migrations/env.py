"""What alembic runs to apply the revisions."""

from shared.process.migrations import run

run()
