"""``make clean``: remove the data, secrets and logs of this checkout."""

import shutil
import sys

from stack.folder import MAIN_FOLDER, is_locked


def clean() -> int:
    """Remove the data folders of this checkout. Returns 1 and removes nothing while a stack runs in one of them."""
    busy = [path for path in (MAIN_FOLDER, *MAIN_FOLDER.glob("test-*")) if is_locked(path)]
    if busy:
        print(f"a stack runs in {busy[0]}: stop it first", file=sys.stderr)
        return 1
    shutil.rmtree(MAIN_FOLDER, ignore_errors=True)
    return 0
