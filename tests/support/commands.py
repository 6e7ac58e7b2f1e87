"""Commands of our services, each in a process of its own that is forked from one that has imported the services.

Importing takes most of the processor time of a short command. Tests of starts (``test_failed_starts.py``,
``test_process.py``) start processes from nothing, as operators do.
"""

import asyncio
import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

SERVICES = ("auth_service", "gateway", "sms_service")

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload([f"{service}.__main__" for service in SERVICES])


class Ended(NamedTuple):
    """How a command ended: its exit status, and what it wrote to stdout and stderr."""

    status: int | None
    output: str
    errors: str


async def run_command(module: str, *words: str, environ: Mapping[str, str], stdin: bytes = b"") -> Ended:
    """Run ``python -m <module> <words>`` to its end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in (1, 2):
            (folder / str(number)).touch()
        (folder / "0").write_bytes(stdin)
        process = _FORKING.Process(target=_become, args=(module, words, dict(environ), folder))
        await asyncio.to_thread(_run, process)
        return Ended(process.exitcode, (folder / "1").read_text(), (folder / "2").read_text())


def _run(process: ForkServerProcess) -> None:
    process.start()
    process.join()


def _become(module: str, words: tuple[str, ...], environ: dict[str, str], folder: Path) -> None:
    """Continue as the command. Its stdin, stdout and stderr are the files 0, 1 and 2 of the folder."""
    for number in range(3):
        with (folder / str(number)).open("r+b") as file:
            os.dup2(file.fileno(), number)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = [module, *words]
    sys.modules.pop(f"{module}.__main__", None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
