"""The reaper of a data folder: once the process that started the stack is gone, it ends the stack's processes.

It reads a pipe that only the starting process keeps open, so it wakes however that process ends, even by SIGKILL.
It shares the lock of the folder, so no new stack can start there before it has finished.
"""

import contextlib
import shutil
import signal
import sys
from pathlib import Path

from stack import orphans


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder, temporary = Path(sys.argv[1]), sys.argv[2] == "remove"
    sys.stdin.buffer.read()
    with contextlib.suppress(OSError):
        (folder / "stack.env").unlink(missing_ok=True)
    orphans.end(folder)
    if temporary:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
