"""Runs the revisions in ``versions``."""

from shared.migrations import run

run()
