"""``make drill``: attacks a separate local system and prints what is measured beside what is promised.

The promises are those of ``make policy``, from the settings of the attacked system. Exits with 1 if a figure is worse
than its promise. ``DRILL=short`` takes seconds; the full size takes some minutes, mostly for the owners.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from drill.attacks import ROWS
from drill.measures import Outcome, Row, promise
from drill.target import FULL, SHORT, Size, attacked
from stack.signals import accept_interrupts
from stack.system import Stack

HEAD = "| promise | at most | measured | tried | |\n| --- | ---: | ---: | --- | --- |"


async def run(stack: Stack, size: Size, rows: Sequence[Row]) -> bool:
    """Attack; whether every promise holds."""
    print(HEAD, flush=True)
    outcomes = []
    async with attacked(stack, size, say) as target:
        for row in rows:
            say(row.name)
            started = time.monotonic()
            outcomes.append(Outcome(promise(target.policy, row.name), await row.attack(target)))
            print(shown(outcomes[-1]), flush=True)
            say(f"{row.name} took {time.monotonic() - started:.0f} s")
    return all(outcome.holds for outcome in outcomes)


def shown(outcome: Outcome) -> str:
    """A row of the table."""
    line, measured = outcome.line, outcome.measured
    promised = f"{outcome.promised:,.0f} {line['unit']}" if outcome.promised else "not possible"
    verdict = "holds" if outcome.holds else "**worse**"
    return f"| `{line['name']}` {line['who']} | {promised} | {measured.figure:,.10g} | {measured.tries} | {verdict} |"


def say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.name for row in ROWS]
    parser.add_argument("--row", action="append", default=[], help=f"only rows that begin so: {', '.join(names)}")
    parser.add_argument("--victims", type=int, help="how many owners are attacked for a day")
    options = parser.parse_args()
    rows = [row for row in ROWS if not options.row or row.name.startswith(tuple(options.row))]
    if not rows:
        parser.error("no row has such a name")
    size = SHORT if os.environ.get("DRILL") == "short" else FULL
    if options.victims:
        size = replace(size, victims=options.victims)
    accept_interrupts()
    with Stack.private(environ={"ENVIRONMENT": "development", "LOG_LEVEL": "info"}, notify=say) as stack:
        stack.start()
        return 0 if asyncio.run(run(stack, size, rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
