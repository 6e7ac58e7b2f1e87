"""Log-ins of 16 clients, beside the pure rate of argon2id and beside a busy neighbour, in turns on the same cores.

The pure rate is that of ``hash_secret_raw``, of the same build and with our parameters, in one process on each core
and nothing beside it. The ratio of CPU times says more where other work takes part of the cores. The neighbour is a
busy loop on each core; what argon2id alone keeps beside it is what the machine leaves. Each process has a session of
its own: where the kernel makes a scheduling group of each (``sched_autogroup_enabled``), as containers have them, the
neighbour is one more of them. Elsewhere niceness decides.
"""

import asyncio
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count

from load.operations import PASSWORD, Bench, must, say
from load.processes import CpuMeter

CLIENTS = 16
TURNS = 4
PURE_SECONDS = 1.0
LOG_IN_SECONDS = 3.0
WARM_UP_SECONDS = 0.5
HASH = 'hash_secret_raw(b"x" * 32, b"0123456789abcdef", 2, 19456, 1, 32, Type.ID)'
PURE = f"""
import os, sys, time
from argon2.low_level import Type, hash_secret_raw
os.sched_setaffinity(0, {{int(sys.argv[1])}})
{HASH}
started, hashes, cpu = time.perf_counter(), 0, time.process_time()
while (spent := time.perf_counter() - started) < {PURE_SECONDS}:
    {HASH}
    hashes += 1
print(hashes / spent, (time.process_time() - cpu) * 1000 / hashes)
"""
NEIGHBOUR = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
print("busy", flush=True)
while True:
    pass
"""


@dataclass(frozen=True)
class Rate:
    """How many a second, and CPU milliseconds of each: of all our processes for a log-in."""

    a_second: float
    cpu_ms: float


@dataclass(frozen=True)
class Round:
    """Rates of argon2id and of log-ins, alone and beside the neighbour."""

    pure: Rate
    alone: Rate
    beside: Rate
    pure_beside: Rate
    refused: int
    """Log-ins beside the neighbour that were not let in."""


class LogIns:
    """Clients that log in, one after the other, and those that were refused."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._numbers = count()
        self.completed = 0
        self.refused = 0

    async def rate(self) -> Rate:
        """Log-ins of all clients, after a moment in which they begin."""
        clients = [asyncio.create_task(self._log_in()) for _ in range(CLIENTS)]
        await asyncio.sleep(WARM_UP_SECONDS)
        started, before, meter = time.perf_counter(), self.completed, CpuMeter(self._bench.pids)
        await asyncio.sleep(LOG_IN_SECONDS)
        completed = self.completed - before
        must(completed > 0, "no log-in was completed")
        cpu_ms = sum(meter.spent().values()) * 1000 / completed
        rate = Rate(completed / (time.perf_counter() - started), cpu_ms)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        return rate

    async def _log_in(self) -> None:
        bench = self._bench
        while True:
            number = bench.numbers[next(self._numbers) % bench.logins]
            reply = await bench.app.log_in(number, PASSWORD)
            must("token" in reply.body or reply.status == 503, reply)
            self.completed += "token" in reply.body
            self.refused += reply.status == 503


async def measure_log_ins(bench: Bench, cores: Collection[int]) -> list[Round]:
    """Turns of argon2id, log-ins and argon2id again, and of both beside the neighbour. ``cores`` are ours."""
    say(f"log-ins of {CLIENTS} clients beside argon2id alone, and beside a busy neighbour: {TURNS} turns")
    turns = list[Round]()
    for _ in range(TURNS):
        before = await pure_rate(cores)
        alone = await LogIns(bench).rate()
        await bench.quiet()
        after = await pure_rate(cores)
        log_ins = LogIns(bench)
        async with busy_neighbour(cores):
            beside = await log_ins.rate()
            await bench.quiet()
            pure_beside = await pure_rate(cores)
        await bench.quiet()
        pure = Rate((before.a_second + after.a_second) / 2, (before.cpu_ms + after.cpu_ms) / 2)
        turns.append(Round(pure, alone, beside, pure_beside, log_ins.refused))
    return turns


async def pure_rate(cores: Collection[int]) -> Rate:
    """Hashes of one process on each core."""
    async with _on_each(cores, PURE) as processes:
        outputs = await asyncio.gather(*(process.communicate() for process in processes))
        rates, cpu_ms = zip(*(map(float, output.split()) for output, _ in outputs), strict=True)
        return Rate(sum(rates), statistics.mean(cpu_ms))


@asynccontextmanager
async def busy_neighbour(cores: Collection[int]) -> AsyncIterator[None]:
    """A busy loop on each core while the block runs."""
    async with _on_each(cores, NEIGHBOUR) as processes:
        for process in processes:
            assert process.stdout is not None
            must(await process.stdout.readline() == b"busy\n", "a neighbour did not start")
        yield


@asynccontextmanager
async def _on_each(cores: Collection[int], program: str) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """A process with the program on each core. Those that run at the end of the block are ended."""
    async with AsyncExitStack() as stack:
        processes = []
        for core in sorted(cores):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, str(core), stdout=asyncio.subprocess.PIPE, start_new_session=True
            )
            stack.push_async_callback(_end, process)
            processes.append(process)
        yield processes


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
        await process.wait()


def log_in_lines(turns: list[Round]) -> str:
    """The lines of the report: medians, with the least and the most of the ratios."""
    pure, alone = [each.pure for each in turns], [each.alone for each in turns]
    beside = [each.beside.a_second for each in turns]
    of_rates = [each.alone.a_second / each.pure.a_second for each in turns]
    of_cpu = [each.pure.cpu_ms / each.alone.cpu_ms for each in turns]
    left = [each.beside.a_second / each.alone.a_second for each in turns]
    pure_left = [each.pure_beside.a_second / each.pure.a_second for each in turns]
    return (
        f"Log-ins, {CLIENTS} clients: {statistics.median(rate.a_second for rate in alone):.1f} a second, argon2id alone"
        f" {statistics.median(rate.a_second for rate in pure):.1f}: {_range(of_rates)}. CPU ms: {statistics.median(rate.cpu_ms for rate in alone):.1f},"
        f" argon2id alone {statistics.median(rate.cpu_ms for rate in pure):.1f}: {_range(of_cpu)}.\n"
        f"Beside a busy neighbour: {statistics.median(beside):.1f} log-ins a second, {_range(left)} of the rate without;"
        f" {sum(each.refused for each in turns)} refused. argon2id alone keeps {_range(pure_left)}."
    )


def _range(values: Sequence[float]) -> str:
    """The median, with the least and the most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
