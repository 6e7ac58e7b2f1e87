"""How many CPUs this process may use: those of its affinity, and the quota of its container."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of the container (cgroup v2): the microseconds of CPU in each period, and the period; ``max`` without a quota."""


def available_cpus(quota: Path = QUOTA) -> int:
    """At least 1. A part of a CPU counts as one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text().split()
        return max(1, min(allowed, math.ceil(int(limit) / int(period))))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return allowed
