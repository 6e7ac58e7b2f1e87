"""The guard of a data folder: when the process that started the stack is gone, it ends what is left.

It reads a pipe that only the starter holds open, so it wakes however the starter ended, ``kill -9`` included.
It shares the folder's lock, so nobody starts a new stack while it still cleans.
"""

import contextlib
import shutil
import signal
import sys
from pathlib import Path

from stack import leftovers


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder, throwaway = Path(sys.argv[1]), sys.argv[2] == "throwaway"
    sys.stdin.buffer.read()
    with contextlib.suppress(OSError):
        (folder / "stack.env").unlink(missing_ok=True)
    leftovers.end(folder)
    if throwaway:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
