"""Runs the revisions beside it."""

from shared.migrations import run

run()
