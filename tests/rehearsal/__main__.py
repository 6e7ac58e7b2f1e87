"""``make rehearsal``: the whole move of a made-up base into a private system, and out of it again.

It starts the system with servers of its own, makes the files of another system with ``--users`` users, and performs each
step of docs/moving-in.md: dry run, import, log-ins through every contract, export, and the import into another Haoma.
Each step is checked, and printed with its time. argon2id decides how long it takes: the bar of the import tells the time that
is left. It exits with 1 at the first step that does not end as it should.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from rehearsal.old_base import KINDS, OldBase
from rehearsal.scene import SETTINGS, RehearsalError, Scene
from rehearsal.steps import STEPS
from stack.signals import accept_interrupts
from stack.system import Stack

ENVIRON = {"CALLER_LIMITS": "off", "ENVIRONMENT": "development", "LOG_LEVEL": "error"} | SETTINGS


@dataclass(frozen=True)
class Done:
    """A step that ended as it should."""

    name: str
    seconds: float
    result: str


async def rehearse(scene: Scene, show: Callable[[str], None]) -> list[Done]:
    """Perform all steps in their order. Raises ``RehearsalError`` at the first that fails."""
    done = []
    for number, step in enumerate(STEPS, start=1):
        show(f"[{number}/{len(STEPS)}] {step.name}")
        started = time.monotonic()
        result = await step.run(scene)
        done.append(Done(step.name, time.monotonic() - started, result))
        show(f"[{number}/{len(STEPS)}] {step.name}: {done[-1].seconds:.1f} s; {result}")
    return done


def table(done: list[Done]) -> str:
    """The steps as a table in Markdown."""
    rows = [f"| {step.name} | {step.seconds:.1f} | {step.result} |" for step in done]
    return "\n".join(["| Step | Seconds | Result |", "| --- | ---: | --- |", *rows])


def say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--users", type=int, default=os.environ.get("USERS") or "100000", help="default: USERS, or 100000"
    )
    options = parser.parse_args()
    if options.users < len(KINDS):
        parser.error(f"at least {len(KINDS)} users: one of each kind")
    accept_interrupts()
    with Stack.private(environ=ENVIRON, notify=say) as stack:
        stack.start()
        try:
            done = asyncio.run(rehearse(Scene(stack, OldBase(options.users), stack.folder.path), say))
        except RehearsalError as error:
            say(f"the rehearsal failed: {error}")
            return 1
    print(table(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
