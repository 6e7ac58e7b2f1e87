# ruff: noqa: INP001  alembic runs it as a script
"""Alembic's entry: everything is in ``shared.migrations``."""

from shared.migrations import run

run()
