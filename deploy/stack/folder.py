"""One data folder: its lock, its reaper, and the only way to start a process in it."""

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from stack import orphans

ROOT = Path(__file__).resolve().parents[2]
MAIN_FOLDER = ROOT / ".local"
LOCK_TIMEOUT_SECONDS = 30


class StackError(Exception):
    """What went wrong and what to do, as text for the developer who started the stack."""


class InterruptedStartError(StackError):
    """The stack is stopping while something was still starting."""


class Folder:
    """The data folder of one stack. Call ``open`` first; after ``close`` none of its processes is left."""

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        """``close`` removes a ``temporary`` folder."""
        self.path = path.resolve()
        self.temporary = temporary
        self.closing = threading.Event()
        self._spawning = threading.Lock()
        self._lock: IO[str] | None = None
        self._reaper: subprocess.Popen[bytes] | None = None

    def open(self) -> list[int]:
        """Lock the folder and end the processes that a killed run left in it. Returns their pids.

        Raises ``StackError`` if another stack runs in the folder or it belongs to another user.
        """
        self._create()
        self._lock = _lock(self.path / "lock")
        (self.path / "stack.env").unlink(missing_ok=True)
        ended = orphans.end(self.path)
        self._reaper = subprocess.Popen(
            [sys.executable, "-S", "-m", "stack.reaper", str(self.path), "remove" if self.temporary else "keep"],
            stdin=subprocess.PIPE,
            env={"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            pass_fds=[self._lock.fileno()],
            start_new_session=True,
        )
        return ended

    def spawn(
        self, command: Sequence[str | Path], *, env: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own and append its output to ``log``."""
        with self._spawning, log.open("ab") as output:
            self.raise_if_closing()
            return subprocess.Popen(
                [str(word) for word in command],
                env={**env, orphans.FOLDER_VARIABLE: str(self.path)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd or self.path,
                start_new_session=True,
            )

    def raise_if_closing(self) -> None:
        """Raise ``InterruptedStartError`` once the folder is closing."""
        if self.closing.is_set():
            raise InterruptedStartError("stopped while starting")

    def interrupt(self) -> None:
        """Refuse every further start, and end every wait for one."""
        with self._spawning:
            self.closing.set()

    def wait_until(self, condition: Callable[[], bool], seconds: float, timeout_text: str) -> None:
        """Wait until ``condition()`` is true. Raises ``StackError(timeout_text)`` after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.raise_if_closing()
            if time.monotonic() > deadline:
                raise StackError(timeout_text)
            self.closing.wait(0.02)

    def close(self) -> None:
        """End every process that still runs in the folder, then unlock it; remove it if it is temporary."""
        self.interrupt()
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            self._reaper.wait()
            self._reaper = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def _create(self) -> None:
        try:
            (self.path / "logs").mkdir(parents=True, exist_ok=True)
            (self.path / "lock").touch()
        except PermissionError:
            raise StackError(f"{self.path} belongs to another user: remove it, or run as that user") from None


def is_locked(path: Path) -> bool:
    """Whether a stack runs in a data folder."""
    try:
        with (path / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock(path: Path) -> IO[str]:
    """Lock a folder. If the process that locked it has ended, wait for its reaper, which shares the lock."""
    file = path.open("r+")
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            return file
        file.seek(0)
        owner = file.read().strip()
        if time.monotonic() > deadline or (owner.isdigit() and orphans.is_alive(int(owner))):
            file.close()
            raise StackError(f"a stack already runs in {path.parent} (process {owner}): stop it first")
        time.sleep(0.1)
