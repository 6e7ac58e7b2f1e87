"""The priority of a long command: it yields to the services on its machine."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
"""``/autogroup-<id> nice <n>``: the niceness of this session among all sessions, and a file to write it to."""
MAX_ATTEMPTS = 10
PAUSE_SECONDS = 0.11
"""The pause between two attempts to write it."""


@contextmanager
def yielding(niceness: int) -> Iterator[None]:
    """Let the services go first until the block ends: the process, and its session where Linux groups by session."""
    os.nice(niceness)
    with session_yielding(niceness):
        yield


@contextmanager
def session_yielding(niceness: int, autogroup: Path = AUTOGROUP) -> Iterator[None]:
    """Make the session nicer until the block ends. A command that is killed leaves it as it is then.

    Where Linux groups by session, the niceness of a process counts within its session only: a command in a shell has
    the weight of a service. A session that is as nice already, because of another command in it, stays so.
    """
    before = _niceness(autogroup)
    if before is None or before >= niceness:
        yield
        return
    _set_niceness(autogroup, niceness)
    try:
        yield
    finally:
        _set_niceness(autogroup, before)


def _niceness(autogroup: Path) -> int | None:
    """The niceness of the session; None where there is no such thing."""
    with suppress(OSError, ValueError, IndexError):  # the file is empty where an init made no session
        return int(autogroup.read_text().split()[-1])
    return None


def _set_niceness(autogroup: Path, niceness: int) -> None:
    """Set it. The kernel may refuse, for example in a container: then the niceness of the process has to do.

    It accepts one change in 100 ms, of all sessions together (proc_sched_autogroup_set_nice).
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            autogroup.write_text(str(niceness))
        except BlockingIOError:
            time.sleep(PAUSE_SECONDS)
        except OSError:
            return
        else:
            return
