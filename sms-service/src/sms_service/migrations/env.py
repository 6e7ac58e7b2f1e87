"""Alembic runs this module to apply the revisions."""

from shared.migrations.environment import run

run()
