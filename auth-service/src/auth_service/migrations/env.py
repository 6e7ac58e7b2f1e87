# ruff: noqa: INP001  alembic runs it as a script
"""Alembic's entry: everything is in ``shared.migrations.environment``."""

from shared.migrations.environment import run

run()
