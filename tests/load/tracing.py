"""``make trace-cost``: what recording spans costs. It starts two private systems and prints a table.

Both accept and send the same number of codes, in turns. One of them sends its spans to a collector, which runs in this
process. The figures are CPU milliseconds of our processes for a code; the ratio is that of one run. Nothing is asserted.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack

import uvloop
from load.operations import Bench, say
from load.processes import machine
from load.results import Result, percentile
from load.scale import ENVIRON
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App
from support.collector import collecting

ROUNDS = 4
CLIENTS = 16
OFF, ON = "without spans", "with spans"


async def run(share: float, scale: float) -> None:
    async with AsyncExitStack() as resources:
        collector = await resources.enter_async_context(collecting())
        systems = resources.enter_context(ExitStack())
        recording = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_SAMPLER_ARG": str(share)}
        apps = {}
        for name, more in ((OFF, {}), (ON, recording)):
            say(f"starting the system {name}")
            stack = systems.enter_context(Stack.private(environ=ENVIRON | more, notify=say))
            await asyncio.to_thread(stack.start)
            app = App.connect(stack.url("gateway"), stack.url("sms-service"), spread=True)
            apps[name] = (stack, await resources.enter_async_context(app))
        results = await take_turns(apps, scale)
    report(results, len(collector.spans), share)


async def take_turns(apps: Mapping[str, tuple[Stack, App]], scale: float) -> dict[str, Result]:
    """The cost of codes in each system, after one round that is not counted."""
    results = {name: Result(name) for name in apps}
    for turn in range(ROUNDS + 1):
        order = list(apps) if turn % 2 else list(reversed(apps))
        for name in order:
            bench = Bench(*apps[name], scale / ROUNDS)
            measured = await bench.measure(name, bench.count, CLIENTS, bench.send_code, settle=True)
            if turn:
                add(results[name], measured)
    return results


def add(total: Result, measured: Result) -> None:
    total.times += measured.times
    total.wall += measured.wall
    total.cpu = {name: total.cpu.get(name, 0.0) + seconds for name, seconds in measured.cpu.items()}


def report(results: Mapping[str, Result], spans: int, share: float) -> None:
    off, on = results[OFF], results[ON]
    codes = len(on.times)
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}; {codes:,} codes in each, {share:.0%} of the traces recorded\n")
    print("| process | without, CPU ms | with, CPU ms | ratio |\n| --- | ---: | ---: | ---: |")
    for name in off.cpu:
        print(row(name, off.cpu[name], on.cpu[name], codes))
    print(row("together", sum(off.cpu.values()), sum(on.cpu.values()), codes))
    print(f"\np50 {p50(off.times):.1f} ms without, {p50(on.times):.1f} ms with; {spans:,} spans arrived.")


def row(name: str, off: float, on: float, codes: int) -> str:
    return f"| {name} | {off * 1000 / codes:.3f} | {on * 1000 / codes:.3f} | {on / off:.2f} |"


def p50(times: Sequence[float]) -> float:
    return percentile(times, 50)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="the share of the traces to record (default 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of codes (default 1: 3,000)")
    options = parser.parse_args()
    accept_interrupts()
    uvloop.run(run(options.share, options.scale))


if __name__ == "__main__":
    main()
