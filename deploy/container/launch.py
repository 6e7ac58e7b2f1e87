"""The entry point of every image: choose the argon2 build for this CPU, then run the service like ``python -m``."""

import os
import runpy
import sys
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
BUILDS = Path("/opt/argon2")
FASTEST_FIRST = ("avx512f", "avx2")


def cpu_flags(info: str) -> frozenset[str]:
    """The flags of the CPU, from the text of ``/proc/cpuinfo``; none on ARM, which has no such line."""
    line = next((line for line in info.splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


def fastest(builds: Path, flags: frozenset[str]) -> Path | None:
    """The folder of the fastest build that this CPU can run; ``None`` means the wheel, which runs on every CPU."""
    return next((builds / flag for flag in FASTEST_FIRST if flag in flags and (builds / flag).is_dir()), None)


def main() -> None:
    build = fastest(BUILDS, cpu_flags(CPU_INFO.read_text()))
    if build is not None:
        sys.path.insert(0, str(build))
    runpy.run_module(os.environ["SERVICE"].replace("-", "_"), run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
