"""CPU time and memory of running processes, read from ``/proc``."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

ALL_CORES = os.sched_getaffinity(0)
"""Which this process may use when it starts."""
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads together, to the nanosecond where the kernel tells it."""
    return sum(map(_spent, Path(f"/proc/{pid}/task").iterdir()))


def niced_seconds(pid: int) -> float:
    """As ``cpu_seconds``, of the threads that yield to the first one: those that auth-service hashes passwords in."""
    first = os.getpriority(os.PRIO_PROCESS, pid)
    return sum(
        _spent(task)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if os.getpriority(os.PRIO_PROCESS, int(task.name)) > first
    )


def _spent(task: Path) -> float:
    return int((task / "schedstat").read_text().split()[0]) / 1e9


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * PAGE / 2**20


def machine() -> str:
    """The processors, the kernel and the interpreter, for the record."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = names[0].split(":", 1)[1].strip() if names else "unknown processor"
    return f"{os.cpu_count()} x {model}, Linux {os.uname().release}, Python {platform.python_version()}"


def pin(pid: int, cores: set[int]) -> None:
    """Keep every thread of a process on some cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


class CpuMeter:
    """CPU spent by a set of processes between two readings."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def spent(self) -> dict[str, float]:
        """CPU seconds by process since the meter was made."""
        after = self._read()
        return {name: after[name] - self._before[name] for name in after}
