"""Processes that cannot start: how they end, what they say, and whether they served meanwhile."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from stack import ports
from stack.services import PROGRAMS

WATCH_SECONDS = 0.05
END_SECONDS = 60.0
IMPATIENT = """
import runpy, sys
from shared.process import startup
startup.STARTUP_TIMEOUT_SECONDS = 1.0
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
"""Runs a module as ``python -m`` does. The process waits for its servers for a second in place of a minute."""


@dataclass(frozen=True)
class FailedStart:
    """How a process ended: its status, the lines that it wrote to stderr, and whether a port of it was open before."""

    status: int | None
    lines: Sequence[str]
    served: bool


async def failed_start(process: str, environ: Mapping[str, str]) -> FailedStart:
    """Start one of our processes, or a migration (``auth-service-migrate``), and wait until it ends."""
    service, is_migration, _ = process.partition("-migrate")
    program = PROGRAMS[service]
    own = {name: ports.free_port() for name in (program.port_variable, program.monitoring_variable) if name}
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IMPATIENT, program.module),
        *(("migrate",) if is_migration else program.arguments),
        env={**environ, **{name: str(port) for name, port in own.items()}},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    ending, served = asyncio.create_task(started.communicate()), False
    async with asyncio.timeout(END_SECONDS):
        while not ending.done():
            served = served or any(map(_is_open, own.values()))
            await asyncio.wait([ending], timeout=WATCH_SECONDS)
    _, errors = await ending
    return FailedStart(started.returncode, errors.decode().splitlines(), served)


def _is_open(port: int) -> bool:
    with suppress(OSError), ports.connect(port, 1):
        return True
    return False
