"""Runs the revisions in ``versions``."""

from shared.process.migrations import run

run()
