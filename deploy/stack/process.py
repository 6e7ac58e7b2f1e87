"""One process of the stack that can be started, stopped, killed, frozen and started again."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack import leftovers
from stack.folder import Folder, StackError


class Process:
    """A command in a data folder. Its output goes to ``log``, emptied when the object is made."""

    def __init__(
        self,
        name: str,
        folder: Folder,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.command = command
        self.env = env
        self.cwd = cwd
        self.log_path = log or folder.log(name)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.log_path.write_bytes(b"")
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise StackError(f"{self.name} was not started")
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status of the last run (negative: the signal that ended it), ``None`` while it runs."""
        return self._popen.poll() if self._popen else None

    def spawn(self) -> None:
        """Start it and return at once."""
        if not self.is_alive:
            self._popen = self.folder.spawn(self.command, env=self.env, log=self.log_path, cwd=self.cwd)

    def stop(self, grace: float = 10.0, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Ask it to end, kill it after ``grace`` seconds; returns its exit status."""
        if self._popen is None or not self.is_alive:
            return self.returncode
        self.resume()
        self._popen.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(grace)
        self.kill()
        return self.returncode

    def kill(self) -> None:
        """``kill -9``, then wait until it and its children are gone."""
        if self._popen is None or not self.is_alive:
            return
        members = leftovers.family(self.pid)
        self._popen.kill()
        self._popen.wait()
        deadline = time.monotonic() + 5
        while any(leftovers.is_alive(pid) for pid in members):
            if time.monotonic() > deadline:
                self._signal(members, signal.SIGKILL)
            time.sleep(0.01)

    def pause(self) -> None:
        """Freeze it and its children: connections stay open, nobody answers."""
        self._signal(leftovers.family(self.pid), signal.SIGSTOP)

    def resume(self) -> None:
        """Undo ``pause``."""
        self._signal(leftovers.family(self.pid), signal.SIGCONT)

    def wait(self, seconds: float) -> int:
        """Wait for it to end by itself; returns its exit status, raises ``StackError`` when it does not."""
        self.folder.await_ready(lambda: not self.is_alive, seconds, f"{self.name} did not end in {seconds:.0f} s")
        return self.returncode or 0

    def logs(self) -> str:
        """All it has written so far."""
        return self.log_path.read_text(errors="replace")

    def obituary(self) -> str:
        """How it ended, with its last lines."""
        last = "\n".join(f"    {line}" for line in self.logs().splitlines()[-15:])
        return f"{self.name} ended with status {self.returncode}; {self.log_path} ends with:\n{last}"

    def fail_if_dead(self) -> None:
        """Raise ``StackError`` with its last lines when it has ended."""
        if not self.is_alive:
            raise StackError(self.obituary())

    @staticmethod
    def _signal(pids: Sequence[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
