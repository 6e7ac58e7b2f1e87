# ruff: noqa: INP001  alembic runs it as a script
"""Alembic's entry: everything is in ``shared.process.migrations``."""

from shared.process.migrations import run

run()
