"""Processes of a data folder that outlived the process that started them: find them and end them."""

import contextlib
import os
import signal
import time
from pathlib import Path

FOLDER_VARIABLE = "HAOMA_STACK"
"""Every process of a stack has this variable in its environment; its value is the data folder."""
PROC = Path("/proc")


def find(folder: Path) -> list[int]:
    """Pids of the living processes that belong to a data folder."""
    return sorted(pid for pid in _pids() if _belongs_to(pid, folder) or _is_postmaster(pid, folder))


def end(folder: Path, grace_seconds: float = 5.0) -> list[int]:
    """End every process of a data folder: ask first, kill after ``grace_seconds``. Returns their pids."""
    found = find(folder)
    for pid in found:
        # SIGTERM makes PostgreSQL wait for its clients; SIGINT is its fast stop.
        _signal(pid, signal.SIGINT if _is_postmaster(pid, folder) else signal.SIGTERM)
        _signal(pid, signal.SIGCONT)
    deadline = time.monotonic() + grace_seconds
    while find(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    while find(folder) and time.monotonic() < deadline + grace_seconds:
        kill(folder)
        time.sleep(0.02)
    _remove_stale_pid_file(folder)
    return found


def kill(folder: Path) -> None:
    """Send SIGKILL once to every process of a data folder."""
    for pid in find(folder):
        _signal(pid, signal.SIGKILL)


def process_tree(pid: int) -> list[int]:
    """A process and all its living descendants."""
    members = [pid]
    for parent in members:
        for children in PROC.glob(f"{parent}/task/*/children"):
            with contextlib.suppress(OSError):
                members.extend(int(word) for word in children.read_text().split())
    return members


def environ(pid: int) -> dict[str, str]:
    """The environment that a process started with; empty if this process may not read it."""
    try:
        variables = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(os.fsdecode(each).split("=", 1) for each in variables if b"=" in each)


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]


def _belongs_to(pid: int, folder: Path) -> bool:
    return environ(pid).get(FOLDER_VARIABLE) == str(folder) and is_alive(pid)


def _is_postmaster(pid: int, folder: Path) -> bool:
    # If PostgreSQL runs under another account its environment may be unreadable; its command line never is.
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"/postgres") and str(folder / "postgres" / "data").encode() in words


def _remove_stale_pid_file(folder: Path) -> None:
    """Remove PostgreSQL's pid file if the process with this pid is not the PostgreSQL of this folder."""
    file = folder / "postgres" / "data" / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError):
        if not _is_postmaster(int(file.read_text().split()[0]), folder):
            file.unlink()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
