"""CPU time and memory of running processes, read from ``/proc``."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

ALL_CORES = os.sched_getaffinity(0)
"""The cores that this process may use."""
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process."""
    return sum(map(_spent, Path(f"/proc/{pid}/task").iterdir()))


def niced_seconds(pid: int) -> float:
    """User and system time of the threads with a lower priority: those in which auth-service hashes passwords."""
    first = os.getpriority(os.PRIO_PROCESS, pid)
    return sum(
        _spent(task)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if os.getpriority(os.PRIO_PROCESS, int(task.name)) > first
    )


def _spent(task: Path) -> float:
    return int((task / "schedstat").read_text().split()[0]) / 1e9


def voluntary_switches(pid: int) -> int:
    """How often the threads of a process have gone to sleep: each time, something had to wake them."""
    return sum(_voluntary(task) for task in Path(f"/proc/{pid}/task").iterdir())


def _voluntary(task: Path) -> int:
    lines = (task / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * PAGE / 2**20


def machine() -> str:
    """The processors, the kernel and the interpreter."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = names[0].split(":", 1)[1].strip() if names else "unknown processor"
    return f"{os.cpu_count()} x {model}, Linux {os.uname().release}, Python {platform.python_version()}"


def pin(pid: int, cores: set[int]) -> None:
    """Pin every thread of a process to cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


class CpuMeter:
    """The CPU time of several processes since a start."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def spent(self) -> dict[str, float]:
        """CPU seconds of each process since the meter was created."""
        after = self._read()
        return {name: after[name] - self._before[name] for name in after}
