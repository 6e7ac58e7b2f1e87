"""``make shadow-check``: calls of all contracts are recorded in one system, and shadowed against two copies.

Each copy is a system of its own, with other keys and without users. The first one gets the recording as it is, and there
must be no difference; the second one gets it with planted differences, and there must be these and no others.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from load.operations import say
from load.processes import machine
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App
from support.recordings import record, write
from support.shadow import PLANTED, named, plant, shadow_copy

ENVIRON = {"CALLER_LIMITS": "off", "ENVIRONMENT": "development", "TRUSTED_PROXIES": "127.0.0.1"}


async def record_calls(calls: int, seed: int) -> list[dict[str, Any]]:
    """Record calls in a system of their own."""
    with Stack.private(environ=ENVIRON) as stack:
        stack.start()
        started = time.monotonic()
        async with App.connect(stack.url("gateway"), stack.url("sms-service")) as app:
            recording = await record(app, calls, seed)
        say(f"{len(recording)} calls recorded in {time.monotonic() - started:.0f} s")
        return recording


async def shadow(recording: list[dict[str, Any]], file: Path) -> dict[str, Any]:
    """Shadow a recording against a new copy. Returns the report."""
    write(file, recording)
    with Stack.private(environ=ENVIRON) as copy:
        copy.start()
        started = time.monotonic()
        _, report = await shadow_copy(copy, file)
    contracts = ", ".join(f"{name} {count}" for name, count in sorted(report["calls"].items()))
    say(f"{report['compared']} calls shadowed in {time.monotonic() - started:.0f} s: {contracts}")
    return report


def explain(report: dict[str, Any]) -> None:
    for each in report["differences"]:
        say(
            f"  {each['call']}: {each['field']}: {each['kind']}: {each['recorded']} / {each['haoma']}, line {each['lines']}"
        )


async def check(calls: int, seed: int, folder: Path) -> bool:
    """Whether nothing differs, and everything that was planted is found."""
    recording = await record_calls(calls, seed)
    report = await shadow(recording, folder / "calls.ndjson")
    say(f"unexplained differences: {len(report['differences'])}")
    explain(report)
    changed = list(recording)
    expected = {(each.call, each.reported_field, each.kind, (plant(changed, each),)) for each in PLANTED}
    with_planted = await shadow(changed, folder / "planted.ndjson")
    found = named(with_planted)
    say(
        f"planted differences: {len(expected)}, found and named: {len(found & expected)}, others: {len(found - expected)}"
    )
    explain(with_planted)
    return not report["differences"] and not report["broken"] and found == expected


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make shadow-check", description=__doc__.split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    say(f"{machine()}; SEED={options.seed}")
    accept_interrupts()
    with tempfile.TemporaryDirectory() as folder:
        return 0 if asyncio.run(check(options.calls, options.seed, Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
