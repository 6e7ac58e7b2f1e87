"""Alembic runs this module to apply the revisions."""

from shared.process.migrations import run

run()
