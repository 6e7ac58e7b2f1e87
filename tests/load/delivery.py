"""How fast one delivery worker is: a sender that answers at once, a full queue, then a steady load.

The worker is the real one, with claims in PostgreSQL and commands from RabbitMQ; its sender is the signed webhook, whose
receiver is here, answers 202 and notes when each message came. Both clocks are this machine's monotonic one.
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
ROUTES = """\
[senders.instant]
type = "webhook"
url = "{url}/"
secret_env = "BENCH_SECRET"
[[routes]]
prefix = "+"
senders = ["instant"]
"""
STEADY_RATE = 80
"""Codes a second, for the time from a request to the sender."""
WARM_SHARE = 0.1
"""Of a full queue: what a worker delivers first, while it has only just started, is not counted."""
STARTUP_TIMEOUT_SECONDS = 60.0


@dataclass
class Receiver:
    """Takes messages at once and notes when each number's came."""

    url: str = ""
    came: dict[str, float] = field(default_factory=dict)
    repeated: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        number = json.loads(await request.read())["to"]
        self.repeated += number in self.came
        self.came.setdefault(number, time.perf_counter())
        self._more.set()
        return web.Response(status=202)

    async def until(self, count: int) -> None:
        """Wait until so many messages came."""
        async with asyncio.timeout(STARTUP_TIMEOUT_SECONDS):
            while len(self.came) < count:
                self._more.clear()
                await self._more.wait()

    def routes(self, folder: Path) -> dict[str, str]:
        """The environment of a worker whose only sender this is."""
        file = folder / "routes.toml"
        file.write_text(ROUTES.format(url=self.url))
        return {"SMS_CONFIG_FILE": str(file), "BENCH_SECRET": SECRET}


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver for as long as the block lasts."""
    made, app = Receiver(), web.Application()
    app.router.add_post("/", made.take)
    async with TestServer(app) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made


@dataclass(frozen=True)
class Drained:
    """A queue that was full: messages a second as the receiver saw them, CPU milliseconds of the worker for each."""

    messages: int
    rate: float
    cpu_ms: float

    def line(self) -> str:
        return (
            f"{self.messages} queued messages, {self.rate:,.0f} a second, {self.cpu_ms:.2f} ms CPU of the worker each"
        )


@dataclass(frozen=True)
class Steady:
    """A steady load: seconds from the moment each request was due to its message's arrival at the sender."""

    rate: int
    times: list[float]

    def line(self) -> str:
        p50, p99 = percentile(self.times, 50), percentile(self.times, 99)
        return f"request to sender at {self.rate} a second: p50 {p50:.1f} ms, p99 {p99:.1f} ms"


async def deliver(bench: Bench, *, pinned: bool) -> tuple[Drained, Steady]:
    """One worker whose sender answers at once: a queue filled while no worker ran, then a steady load."""
    stack, numbers = bench.stack, (f"136{i:08d}" for i in itertools.count(secrets.randbelow(10**7)))
    await asyncio.to_thread(stack.services["sms-worker"].stop)
    async with receiver() as taking:
        queued = [next(numbers) for _ in range(bench.count)]

        async def send(i: int) -> None:
            must((await bench.app.send_code(queued[i])).status == 200, "no code was sent")

        await bench.measure("filling the queue of one worker", len(queued), CLIENTS, send, settle=True)
        say(f"one worker: {len(queued)} queued messages")
        worker = asyncio.create_task(asyncio.to_thread(launch_worker, stack, taking, pinned=pinned))
        await taking.until(1)
        drained = await drain(taking, stack.services["sms-worker"].pid, len(queued))
        await worker
        await bench.quiet()
        return drained, await steady(bench, taking, list(itertools.islice(numbers, bench.count // 3)))


def launch_worker(stack: Stack, taking: Receiver, *, pinned: bool) -> None:
    """Start the worker on the core that our processes run on: it inherits what its starter may use."""
    if pinned:
        os.sched_setaffinity(0, {0})  # this thread alone
    try:
        stack.launch("sms-worker", env=taking.routes(stack.folder.path))
    finally:
        os.sched_setaffinity(0, ALL_CORES - {0} if pinned else ALL_CORES)


async def drain(taking: Receiver, pid: int, count: int) -> Drained:
    """Watch a worker that has just been given a queue of ``count`` messages."""
    warm = math.ceil(count * WARM_SHARE)
    await taking.until(warm)
    meter, before = CpuMeter({"worker": pid}), len(taking.came)
    await taking.until(count)
    spent = meter.spent()["worker"]
    times = sorted(taking.came.values())
    return Drained(count, (count - before) / (times[-1] - times[before - 1]), spent * 1000 / (count - before))


async def steady(bench: Bench, taking: Receiver, numbers: Sequence[str]) -> Steady:
    """Ask for codes at one rate, whatever the answers; measured from when each request was due."""
    say(f"one worker: {len(numbers)} messages at {STEADY_RATE} a second")
    start, due, asking = time.perf_counter(), {}, []
    for position, number in enumerate(numbers):
        due[f"+86{number}"] = start + position / STEADY_RATE
        await asyncio.sleep(due[f"+86{number}"] - time.perf_counter())
        asking.append(asyncio.create_task(bench.app.send_code(number)))
    must(all(reply.status == 200 for reply in await asyncio.gather(*asking)), "no code was sent")
    await taking.until(len(taking.came) + sum(number not in taking.came for number in due))
    must(not taking.repeated, f"{taking.repeated} messages came twice")
    return Steady(STEADY_RATE, [taking.came[number] - moment for number, moment in due.items()])
