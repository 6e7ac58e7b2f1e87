"""``make bench-pair OTHER=path``: compares what each operation costs this checkout and another one, in one run.

Wall-clock figures of two runs cannot be compared on a machine that others use, and the cost of CPU moves from minute to minute too. So both
systems run at the same time, each by the code and the virtual environment of its checkout and with its own servers, and
take turns: one is measured while the other is idle, in alternating order. All our processes run on the first core; the servers
of both and this client on the others. A ratio is one of two measurements that followed each other.

``OTHER`` needs its virtual environment (``make .venv/.installed``). Operations are calls of ``/v2`` by 16 clients, and by one where the name ends with
``-one``. A row includes the background work that a request causes. A run begins no turn that could end after ``--seconds``.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvloop
from load.baselines import bare_server, get_json
from load.operations import say
from load.pair_operations import CLIENTS, ONE_CLIENT, OPERATIONS, Cost, Measurement, PairedSystem, run_jobs
from load.pair_report import Comparison, idle_line, report
from load.processes import CpuMeter, machine, pin
from stack.signals import accept_interrupts
from support.app import App

DEFAULT = "send,send-one,sign-up,session,session-uncached,refresh,log-in,match"
ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ROOT / "tests" / "load" / "pair_system.py"
ENVIRON = {
    "CALLER_LIMITS": "off",
    "ENVIRONMENT": "development",
    "CONTACTS_BUDGET": "100000",
    "DIRECTORY_CHECK_SECONDS": "0",  # the directory has members without accounts
    "LOG_LEVEL": "info",
}
IDLE_SECONDS = 5.0
BARE_SHARE = 3
OUTPUT_BYTES = 2**20


@asynccontextmanager
async def system_of(checkout: Path, name: str, *, seeded: bool) -> AsyncIterator[PairedSystem]:
    """The system of a checkout, started and ready, for as long as the block lasts: ``seeded`` with a directory."""
    say(f"starting {name}: {checkout}")
    process = await asyncio.create_subprocess_exec(
        *(str(checkout / ".venv/bin/python"), "-P", str(SYSTEM), json.dumps(ENVIRON), "seeded" if seeded else "empty"),
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": f"{checkout / 'deploy'}:{checkout / 'tests'}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=OUTPUT_BYTES,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
        if not line:
            raise SystemExit(f"{name} did not start: {checkout}")
        ready = json.loads(line)
        async with App.connect(ready["gateway"], ready["sms"]) as app:
            yield PairedSystem(name, app, ready["pids"], ready["members"])
    finally:
        process.stdin.close()
        await process.wait()


class Pair:
    """Both systems, a bare server beside them, and what was measured until now."""

    def __init__(self, systems: Sequence[PairedSystem], measured: Sequence[Measurement], requests: int) -> None:
        self.this, self.other = systems
        self.comparisons = [Comparison(each) for each in measured]
        self.bare_ms: list[float] = []
        self._bare_count = requests * BARE_SHARE

    async def turn(self, number: int) -> None:
        """Measure each operation once in each system. Which one begins changes with every operation and every turn."""
        await self._measure_bare()
        for position, comparison in enumerate(self.comparisons):
            sides = [(self.this, comparison.this), (self.other, comparison.other)]
            for system, costs in sides if (number + position) % 2 == 0 else reversed(sides):
                costs.append(await comparison.measured.run(system))

    async def _measure_bare(self) -> None:
        async with bare_server(pinned=True) as (url, pid):
            get = get_json(self.this.app.http, url)
            await run_jobs(self._bare_count // 5, CLIENTS, get)
            meter = CpuMeter({"bare": pid})
            await run_jobs(self._bare_count, CLIENTS, get)
            self.bare_ms.append(meter.spent()["bare"] * 1000 / self._bare_count)


async def idle_cost(system: PairedSystem) -> Cost:
    """What each process costs in a second in which nothing is requested."""
    return await system.spent(IDLE_SECONDS, asyncio.sleep(IDLE_SECONDS))


async def take_turns(pair: Pair, turns: int, deadline: float) -> None:
    """Measure so many turns, but begin none that would end after the deadline if it took as long as the last one."""
    for number in range(turns):
        started = time.monotonic()
        await pair.turn(number)
        say(f"turn {number + 1} of {turns}: {time.monotonic() - started:.0f} s")
        if time.monotonic() + (time.monotonic() - started) > deadline and number + 1 < turns:
            say(f"no time is left for the other {turns - number - 1} turns")
            return


async def run(options: argparse.Namespace, measured: Sequence[Measurement]) -> None:
    deadline = time.monotonic() + options.seconds
    seeded = any(each.operation is OPERATIONS["match"] for each in measured)
    async with AsyncExitStack() as running:
        starting = [
            running.enter_async_context(system_of(checkout, name, seeded=seeded))
            for name, checkout in (("this", ROOT), ("other", options.other.resolve()))
        ]
        systems = await asyncio.gather(*starting)
        for system in systems:
            for pid in system.pids.values():
                pin(pid, {0})
            if any(each.operation.needs_users for each in measured):
                await system.sign_up(options.requests + CLIENTS)
        pair = Pair(systems, measured, options.requests)
        for system in systems:
            await system.settle()
        idle = await asyncio.gather(*map(idle_cost, systems))
        await take_turns(pair, options.turns, deadline)
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d %H:%M')}; {len(pair.bare_ms)} turns\n")
    print("\n".join(report(pair.comparisons, pair.bare_ms)))
    print()
    for system, spent in zip(systems, idle, strict=True):
        print(idle_line(system.name, spent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the other checkout")
    named = f"{', '.join(OPERATIONS)}; each also with {ONE_CLIENT}"
    parser.add_argument("--operations", default=DEFAULT, help=f"names with commas between them: {named}")
    parser.add_argument("--turns", type=int, default=4, help="how often each operation is measured (default 4)")
    parser.add_argument("--requests", type=int, default=400, help="of send in one turn; others make more or fewer")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"clients (default {CLIENTS})")
    parser.add_argument("--seconds", type=float, default=170, help="the longest time of all (default 170)")
    options = parser.parse_args()
    names = options.operations.split(",")
    if unknown := [name for name in names if name.removesuffix(ONE_CLIENT) not in OPERATIONS]:
        parser.error(f"unknown operations: {', '.join(unknown)}")
    measured = [Measurement.named(name, options.requests, options.clients) for name in names]
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        parser.error("two cores are needed: one for our processes, the others for servers and this client")
    accept_interrupts()
    os.sched_setaffinity(0, cores - {0})  # inherited by the servers of both
    uvloop.run(run(options, measured))


if __name__ == "__main__":
    main()
