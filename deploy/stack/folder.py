"""One data folder: its lock, its guard, and the one way a process is started in it."""

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

from stack import leftovers

ROOT = Path(__file__).resolve().parents[2]
MAIN_FOLDER = ROOT / ".local"


class StackError(Exception):
    """What went wrong, in words for the person who started the stack."""


class InterruptedStartError(StackError):
    """The stack is being stopped while something was still starting."""


class Folder:
    """The data folder of one stack. ``open`` it first; after ``close`` no process of it is left."""

    def __init__(self, path: Path, *, throwaway: bool = False) -> None:
        self.path = path.resolve()
        self.throwaway = throwaway
        self.closing = threading.Event()
        self._spawning = threading.Lock()
        self._lock: IO[str] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def open(self) -> list[int]:
        """Take the folder, or raise ``StackError``. Ends and returns what an earlier, killed run left behind."""
        self._make()
        self._lock = _take_lock(self.path / "lock")
        (self.path / "stack.env").unlink(missing_ok=True)
        left = leftovers.end(self.path)
        self._guard = subprocess.Popen(
            [sys.executable, "-S", "-m", "stack.reaper", str(self.path), "throwaway" if self.throwaway else "keep"],
            stdin=subprocess.PIPE,
            env={"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            pass_fds=[self._lock.fileno()],
            start_new_session=True,
        )
        return left

    def spawn(
        self, command: Sequence[str | Path], *, env: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, its output appended to ``log``."""
        with self._spawning, log.open("ab") as output:
            self.go_on()
            return subprocess.Popen(
                [str(word) for word in command],
                env={**env, leftovers.MARK: str(self.path)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd or self.path,
                start_new_session=True,
            )

    def go_on(self) -> None:
        """Raise ``InterruptedStartError`` once the folder is being closed."""
        if self.closing.is_set():
            raise InterruptedStartError("stopped while starting")

    def interrupt(self) -> None:
        """From now on nothing starts, and whoever waits for something to start gives up."""
        with self._spawning:
            self.closing.set()

    def await_ready(self, ready: Callable[[], bool], seconds: float, late: str) -> None:
        """Wait until ``ready()``. Raises ``StackError(late)`` after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.go_on()
            if time.monotonic() > deadline:
                raise StackError(late)
            self.closing.wait(0.02)

    def close(self) -> None:
        """End whatever still runs in the folder and give it back; a throw-away folder is removed."""
        self.interrupt()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def _make(self) -> None:
        try:
            (self.path / "logs").mkdir(parents=True, exist_ok=True)
            (self.path / "lock").touch()
        except PermissionError:
            raise StackError(f"{self.path} belongs to another user: remove it, or run as that user") from None


def is_taken(path: Path) -> bool:
    """Whether a stack runs in a data folder."""
    try:
        with (path / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _take_lock(path: Path) -> IO[str]:
    """Lock a folder. One whose starter is dead is only being cleaned, so it is waited for."""
    file = path.open("r+")
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            return file
        file.seek(0)
        holder = file.read().strip()
        if time.monotonic() > deadline or (holder.isdigit() and leftovers.is_alive(int(holder))):
            file.close()
            raise StackError(f"a stack already runs in {path.parent} (process {holder}): stop it first")
        time.sleep(0.1)
