"""Alembic runs this module to apply the revisions."""

from shared.migrations import run

run()
