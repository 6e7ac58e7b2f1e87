"""A file with one user again and again: how long an import of it takes, and how much memory it needs."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from rehearsal.scene import OPERATOR

LINES_AT_ONCE = 1_000


@dataclass(frozen=True)
class DuplicatesRun:
    """How an import of duplicates ended: its exit status, its report, and the most memory that it had."""

    status: int
    output: str
    seconds: float
    peak_mib: float


async def import_duplicates(environ: Mapping[str, str], user: Mapping[str, object], lines: int) -> DuplicatesRun:
    """Import a user that many times, from standard input: no file has to be made."""
    return await asyncio.to_thread(_import, dict(environ), json.dumps(user).encode() + b"\n", lines)


def _import(environ: dict[str, str], line: bytes, lines: int) -> DuplicatesRun:
    started = time.monotonic()
    words = (sys.executable, "-m", "auth_service", "import", "-", "--errors", "-", "--rate", "1000000", *OPERATOR)
    process = subprocess.Popen(
        words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for _ in range(lines // LINES_AT_ONCE):
            process.stdin.write(line * LINES_AT_ONCE)
        process.stdin.write(line * (lines % LINES_AT_ONCE))
        process.stdin.close()
        output = process.stdout.read().decode()
    finally:
        process.stdin.close()
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return DuplicatesRun(process.returncode, output, time.monotonic() - started, usage.ru_maxrss / 1024)
