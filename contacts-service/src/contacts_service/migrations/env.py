"""Runs the revisions in ``versions``."""

from shared.migrations.environment import run

run()
