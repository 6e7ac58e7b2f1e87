"""The browser for the tests of the pages: the system's Chromium, installed first where root runs the tests."""

import os
import shutil
from collections.abc import Callable

from stack.folder import StackError
from stack.packages import apt

PACKAGE = "chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def browser(notify: Callable[[str], None]) -> str:
    """The path of Chromium, which the variable ``CHROMIUM`` may name.

    Raises ``StackError`` with the command that installs it if it is missing.
    """
    path = os.environ.get("CHROMIUM", "") or _find()
    if not path and apt.can_install():
        apt.install(PACKAGE, notify)
        path = _find()
    if not path or not os.access(path, os.X_OK):
        raise StackError(f"Chromium is missing: {apt.install_command(PACKAGE)}, or set CHROMIUM to its path")
    return path


def _find() -> str:
    return next(filter(None, map(shutil.which, NAMES)), "")
