"""How fast one delivery worker is, with a sender that responds at once: first with a full queue, then at a steady rate.

The worker is the real one, with its ledger in PostgreSQL and its commands in RabbitMQ. Its sender is the signed webhook,
whose receiver is in this process, responds with 202 and records when each message arrived. All times are from this
machine's monotonic clock.
"""

import asyncio
import itertools
import json
import math
import os
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer
from load.operations import CLIENTS, Bench, must, say
from load.processes import ALL_CORES, CpuMeter
from load.results import percentile
from stack.system import Stack

SECRET = "whsec_c2VjcmV0"
CONFIG_FILE = """\
[senders.instant]
type = "webhook"
url = "{url}/"
secret_env = "BENCH_SECRET"
[[routes]]
prefix = "+"
senders = ["instant"]
"""
STEADY_RATE = 80
"""Requests for codes a second, while the time from a request to the sender is measured."""
WARM_SHARE = 0.1
"""The share of a full queue that is not measured, because the worker has only just started."""
STARTUP_TIMEOUT_SECONDS = 60.0


@dataclass
class Receiver:
    """Accepts messages at once, and records when the message for each number arrived."""

    url: str = ""
    arrivals: dict[str, float] = field(default_factory=dict)
    repeated: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def accept(self, request: web.Request) -> web.Response:
        number = json.loads(await request.read())["to"]
        self.repeated += number in self.arrivals
        self.arrivals.setdefault(number, time.perf_counter())
        self._more.set()
        return web.Response(status=202)

    async def until(self, count: int) -> None:
        """Wait until this many messages have arrived."""
        async with asyncio.timeout(STARTUP_TIMEOUT_SECONDS):
            while len(self.arrivals) < count:
                self._more.clear()
                await self._more.wait()

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment of a worker that has this as its only sender."""
        file = folder / "sms.toml"
        file.write_text(CONFIG_FILE.format(url=self.url))
        return {"SMS_CONFIG_FILE": str(file), "BENCH_SECRET": SECRET}


@asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    """A receiver that runs for as long as the block lasts."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/", receiver.accept)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("")).rstrip("/")
        yield receiver


@dataclass(frozen=True)
class Drained:
    """A full queue that was emptied: messages a second at the receiver, and CPU milliseconds of the worker for each."""

    messages: int
    rate: float
    cpu_ms: float

    def line(self) -> str:
        return (
            f"{self.messages} queued messages, {self.rate:,.0f} a second, {self.cpu_ms:.2f} ms CPU of the worker each"
        )


@dataclass(frozen=True)
class Steady:
    """A steady rate: seconds from the moment a request was due until its message arrived at the sender."""

    rate: int
    times: list[float]

    def line(self) -> str:
        p50, p99 = percentile(self.times, 50), percentile(self.times, 99)
        return f"request to sender at {self.rate} a second: p50 {p50:.1f} ms, p99 {p99:.1f} ms"


async def deliver(bench: Bench, *, pinned: bool) -> tuple[Drained, Steady]:
    """Measure one worker: a queue that is filled while no worker runs, then a steady rate."""
    stack, numbers = bench.stack, (f"136{i:08d}" for i in itertools.count(secrets.randbelow(10**7)))
    await asyncio.to_thread(stack.services["sms-worker"].stop)
    async with running_receiver() as receiver:
        queued = [next(numbers) for _ in range(bench.count)]

        async def send(i: int) -> None:
            must((await bench.app.send_code(queued[i])).status == 200, "no code was sent")

        await bench.measure("filling the queue of one worker", len(queued), CLIENTS, send, settle=True)
        say(f"one worker: {len(queued)} queued messages")
        worker = asyncio.create_task(asyncio.to_thread(launch_worker, stack, receiver, pinned=pinned))
        await receiver.until(1)
        drained = await drain(receiver, stack.services["sms-worker"].pid, len(queued))
        await worker
        await bench.quiet()
        return drained, await steady(bench, receiver, list(itertools.islice(numbers, bench.count // 3)))


def launch_worker(stack: Stack, receiver: Receiver, *, pinned: bool) -> None:
    """Start the worker on the core of our other processes: a process inherits the cores of the thread that starts it."""
    if pinned:
        os.sched_setaffinity(0, {0})  # of this thread only
    try:
        stack.launch("sms-worker", env=receiver.environment(stack.folder.path))
    finally:
        os.sched_setaffinity(0, ALL_CORES - {0} if pinned else ALL_CORES)


async def drain(receiver: Receiver, pid: int, count: int) -> Drained:
    """Measure a worker that has just started on a queue of ``count`` messages."""
    warm = math.ceil(count * WARM_SHARE)
    await receiver.until(warm)
    meter, before = CpuMeter({"worker": pid}), len(receiver.arrivals)
    await receiver.until(count)
    spent = meter.spent()["worker"]
    times = sorted(receiver.arrivals.values())
    return Drained(count, (count - before) / (times[-1] - times[before - 1]), spent * 1000 / (count - before))


async def steady(bench: Bench, receiver: Receiver, numbers: Sequence[str]) -> Steady:
    """Request codes at a fixed rate, without waiting for responses. Times count from when each request was due."""
    say(f"one worker: {len(numbers)} messages at {STEADY_RATE} a second")
    start, due, requests = time.perf_counter(), {}, []
    for position, number in enumerate(numbers):
        due[f"+86{number}"] = start + position / STEADY_RATE
        await asyncio.sleep(due[f"+86{number}"] - time.perf_counter())
        requests.append(asyncio.create_task(bench.app.send_code(number)))
    must(all(reply.status == 200 for reply in await asyncio.gather(*requests)), "no code was sent")
    await receiver.until(len(receiver.arrivals) + sum(number not in receiver.arrivals for number in due))
    must(not receiver.repeated, f"{receiver.repeated} messages arrived twice")
    return Steady(STEADY_RATE, [receiver.arrivals[number] - moment for number, moment in due.items()])
