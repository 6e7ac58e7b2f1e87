"""One process of the stack that callers can start, stop, kill, freeze and start again."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack import orphans
from stack.folder import Folder, StackError


class Process:
    """A command in a data folder. Its output goes to ``log``, which the constructor empties."""

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
            raise StackError(f"{self.name} is not started")
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status of the last run (negative: the signal that ended it), ``None`` while it runs."""
        return self._popen.poll() if self._popen else None

    def spawn(self) -> None:
        """Start it without waiting. Does nothing while it runs."""
        if not self.is_alive:
            self._popen = self.folder.spawn(self.command, env=self.env, log=self.log_path, cwd=self.cwd)

    def stop(self, grace_seconds: float = 10.0, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send the signal, kill the process after ``grace_seconds``, and return its exit status."""
        if self._popen is None or not self.is_alive:
            return self.returncode
        self.resume()
        self._popen.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(grace_seconds)
        self.kill()
        return self.returncode

    def kill(self) -> None:
        """Send SIGKILL, then wait until the process and its descendants are gone."""
        if self._popen is None or not self.is_alive:
            return
        members = orphans.process_tree(self.pid)
        self._popen.kill()
        self._popen.wait()
        deadline = time.monotonic() + 5
        while any(orphans.is_alive(pid) for pid in members):
            if time.monotonic() > deadline:
                self._signal(members, signal.SIGKILL)
            time.sleep(0.01)

    def pause(self) -> None:
        """Freeze it and its descendants: connections stay open and nothing responds."""
        self._signal(orphans.process_tree(self.pid), signal.SIGSTOP)

    def resume(self) -> None:
        """Undo ``pause``."""
        self._signal(orphans.process_tree(self.pid), signal.SIGCONT)

    def wait(self, seconds: float) -> int:
        """Wait until it ends and return its exit status. Raises ``StackError`` after ``seconds``."""
        self.folder.wait_until(lambda: not self.is_alive, seconds, f"{self.name} did not end within {seconds:.0f} s")
        return self.returncode or 0

    def logs(self) -> str:
        """All output so far."""
        return self.log_path.read_text(errors="replace")

    def exit_report(self) -> str:
        """Its exit status and the last lines of its log."""
        last = "\n".join(f"    {line}" for line in self.logs().splitlines()[-15:])
        return f"{self.name} ended with status {self.returncode}; {self.log_path} ends with:\n{last}"

    def raise_if_ended(self) -> None:
        """Raise ``StackError`` with the exit report if the process has ended."""
        if not self.is_alive:
            raise StackError(self.exit_report())

    @staticmethod
    def _signal(pids: Sequence[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
