"""A browser for the tests of the pages: the system's Chromium, installed first where we may."""

import os
import shutil
from collections.abc import Callable

from stack import apt
from stack.folder import StackError

PACKAGE = "chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def browser(say: Callable[[str], None]) -> str:
    """The path of Chromium; ``CHROMIUM`` may name it. Raises ``StackError`` with the line to type where none is."""
    named = os.environ.get("CHROMIUM", "")
    found = named or _installed()
    if not found and apt.can_install():
        apt.install(PACKAGE, say)
        found = _installed()
    if not found or not os.access(found, os.X_OK):
        raise StackError(f"Chromium is missing: {apt.advice(PACKAGE)}, or set CHROMIUM to its path")
    return found


def _installed() -> str:
    return next(filter(None, map(shutil.which, NAMES)), "")
