"""``make bench``: starts the whole system and prints what each operation costs.

Per operation: requests a second, p50 and p99 as the client sees them, and user and system CPU milliseconds per request
summed over all processes of ours (gateway, services, worker; not PostgreSQL, Valkey, RabbitMQ, nor this client), from
``/proc``. Nothing is asserted. Compare ratios within one run: machines are shared and noisy.

With two cores or more our processes run on the first one, and the servers and this client on the others, so that a
figure is "one core of ours" and not what two programs on one core cost each other. ``--no-pin`` lets the kernel choose,
as it always does for the last figure, the session check while log-ins run.
"""

import argparse
import asyncio
import math
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from argon2.low_level import Type, hash_secret_raw
from load.processes import CpuMeter, cpu_seconds, machine, resident_mib
from stack import ports
from stack.system import Stack
from support.app import App

from shared.phone import E164, PhoneKeys
from shared.postgres import url_of

REGISTERED = 100_000
HIT_SHARE = 0.2
PASSWORD = "correct horse"
SETTLE_SECONDS = 1.0
CLIENTS = 64

ALL_CORES = os.sched_getaffinity(0)
Job = Callable[[int], Awaitable[None]]


@dataclass
class Result:
    """One row of the table."""

    name: str
    times: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def cpu_ms(self) -> float:
        return sum(self.cpu.values()) * 1000 / len(self.times)

    def row(self, bare_ms: float) -> str:
        shares = ", ".join(
            f"{name} {spent * 1000 / len(self.times):.2f}" for name, spent in self.cpu.items() if spent > 0.0001
        )
        rate, p50, p99 = len(self.times) / self.wall, percentile(self.times, 50), percentile(self.times, 99)
        cost = f"**{self.cpu_ms:.2f}** | {self.cpu_ms / bare_ms:.0f}"
        return f"| {self.name} | {len(self.times)} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {cost} | {shares} |"


def percentile(times: Sequence[float], share: int) -> float:
    """A percentile in milliseconds (nearest rank)."""
    ranked = sorted(times)
    return ranked[max(0, math.ceil(len(ranked) * share / 100) - 1)] * 1000


class Bench:
    """The running system and the numbers that this run uses."""

    def __init__(self, stack: Stack, app: App, scale: float) -> None:
        self.stack = stack
        self.app = app
        self.count = max(40, int(3000 * scale))
        self.logins = max(20, int(200 * scale))
        start = secrets.randbelow(10**8)
        self.numbers = [f"139{(start + i) % 10**8:08d}" for i in range(self.count)]
        self.codes: dict[str, str] = {}
        self.tickets: dict[str, str] = {}
        self.users: dict[str, dict[str, Any]] = {}

    @property
    def pids(self) -> dict[str, int]:
        return {name: service.pid for name, service in self.stack.services.items()}

    async def measure(self, name: str, count: int, clients: int, job: Job, *, settle: bool = False) -> Result:
        """Run ``job(0..count-1)`` with so many clients; ``settle`` adds the work left in the background."""
        say(f"{name}: {count} requests, {clients} at once")
        result = Result(name)
        left = iter(range(count))
        meter = CpuMeter(self.pids)

        async def client() -> None:
            for position in left:
                began = time.perf_counter()
                await job(position)
                result.times.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        result.wall = time.perf_counter() - began
        if settle:
            await self.quiet()
        result.cpu = meter.spent()
        return result

    async def quiet(self) -> None:
        """Wait until the processes have nothing left to do."""
        while True:
            meter = CpuMeter(self.pids)
            await asyncio.sleep(SETTLE_SECONDS)
            if sum(meter.spent().values()) < 0.03 * SETTLE_SECONDS:
                return

    # The operations

    async def send_code(self, i: int) -> None:
        reply = await self.app.send_code(self.numbers[i])
        must(reply.body == {"success": "true"}, reply)

    async def read_codes(self) -> None:
        self.codes = {number: await self.app.code(number) for number in self.numbers}

    async def verify(self, i: int) -> None:
        number = self.numbers[i]
        reply = await self.app.verify(number, self.codes[number])
        self.tickets[number] = reply.body["data"]["tmp_token"]

    async def register(self, i: int) -> None:
        number = self.numbers[i]
        reply = await self.app.new_user(number, PASSWORD, self.tickets[number])
        self.users[number] = reply.body["data"]

    async def log_in(self, i: int) -> None:
        reply = await self.app.log_in(self.numbers[i % self.logins], PASSWORD)
        must("token" in reply.body, reply)

    def check_session(self, every: int) -> Job:
        """A session check: ``GET /users/{id}``. ``every`` users in turn; many of them defeat the gateway's cache."""
        users = list(self.users.values())[:every]

        async def check(i: int) -> None:
            user = users[i % every]
            headers = {"Authorization": f"Bearer {user['token']}"}
            reply = await self.app.call("GET", f"/users/{user['userId']}", headers=headers)
            must(reply.status == 200, reply)

        return check

    def match(self, size: int, members: Sequence[str]) -> Job:
        """Match an address book of ``size`` numbers, one in five a member; over 2,000 takes several calls."""
        user = next(iter(self.users.values()))
        hits = [members[j] for j in range(int(size * HIT_SHARE))]
        book = hits + [f"152{j:08d}" for j in range(size - len(hits))]
        secrets.SystemRandom().shuffle(book)
        pages = [book[j : j + 2000] for j in range(0, size, 2000)]

        async def match(_: int) -> None:
            found = 0
            for page in pages:
                reply = await self.app.check_contact(user["userId"], user["token"], page)
                found += len(reply.body["data"])
            must(found == len(hits), f"{found} of {len(hits)} members found")

        return match


async def seed_directory(stack: Stack) -> list[str]:
    """Register 100,000 members in the directory, as their events would have."""
    keys = PhoneKeys(bytes.fromhex(stack.environ["PHONE_KEY"]))
    members = [f"151{j:08d}" for j in range(REGISTERED)]
    rows = [(j + 1, keys.ref(E164("+86" + number)), f"用户{j}", "", True, 1) for j, number in enumerate(members)]
    connection = await asyncpg.connect(url_of(stack.addresses["POSTGRES_URL"], "contacts"))
    try:
        await connection.executemany(
            "insert into directory (user_id, phone_ref, nickname, avatar, visible, version, since, updated_at) "
            "values ($1, $2, $3, $4, $5, $6, now(), now() - interval '1 minute')",
            rows,
        )
        await connection.execute("analyze directory")
    finally:
        await connection.close()
    return members


async def storm(bench: Bench) -> tuple[Result, Result]:
    """p99 of a session check on a quiet system, and while 16 log-ins run."""
    check = bench.check_session(1)
    quiet = await bench.measure("session check, one client, quiet", 1500, 1, check)
    stop = asyncio.Event()

    async def log_ins(start: int) -> None:
        while not stop.is_set():
            await bench.log_in(start)

    running = [asyncio.create_task(log_ins(start)) for start in range(16)]
    await asyncio.sleep(0.5)
    busy = await bench.measure("session check, one client, 16 log-ins running", 1500, 1, check)
    stop.set()
    await asyncio.gather(*running)
    return quiet, busy


BARE = """
import uvloop
from aiohttp import web
async def answer(_):
    return web.json_response({"success": "true"})
app = web.Application()
app.router.add_get("/", answer)
uvloop.install()
web.run_app(app, host="127.0.0.1", port=%d, access_log=None, print=None)
"""


async def bare_aiohttp(bench: Bench, *, pinned: bool) -> Result:
    """The yardstick: a bare aiohttp JSON answer on the core that our processes run on."""
    port = ports.free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-W", "ignore", "-c", BARE % port)
    try:
        if pinned:
            pin(process.pid, {0})
        while not ports.answers(port, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1."):
            await asyncio.sleep(0.05)

        async def ask(_: int) -> None:
            async with bench.app.http.get(f"http://127.0.0.1:{port}/") as response:
                await response.read()

        meter = CpuMeter({"bare aiohttp": process.pid})
        result = await bench.measure("bare aiohttp answer", bench.count, CLIENTS, ask)
        result.cpu = meter.spent()
        return result
    finally:
        process.terminate()
        await process.wait()


def argon2_ms() -> float:
    """CPU milliseconds of one argon2id hash with our parameters, in this process alone."""
    meter, rounds = cpu_seconds(os.getpid()), 30
    for _ in range(rounds):
        hash_secret_raw(b"x" * 32, b"0123456789abcdef", 2, 19456, 1, 32, Type.ID)
    return (cpu_seconds(os.getpid()) - meter) * 1000 / rounds


def pin(pid: int, cores: set[int]) -> None:
    """Keep every thread of a process on some cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


def must(held: bool, what: object) -> None:
    """A benchmark of failing requests measures nothing."""
    if not held:
        raise SystemExit(f"the bench failed: {what}")


async def run(stack: Stack, scale: float, *, pinned: bool) -> None:
    say("starting servers and services")
    stack.start_servers(then=stack.migrate)
    members = await seed_directory(stack)
    began = {}
    for name in ("auth-service", "sms-service", "contacts-service", "sms-worker", "gateway"):
        before = time.perf_counter()
        service = stack.launch(name)
        began[name] = time.perf_counter() - before
        if pinned:
            pin(service.pid, {0})
    async with App.connect(stack.url("gateway"), stack.url("sms-service")) as app:
        bench = Bench(stack, app, scale)
        await bench.quiet()
        idle = {name: resident_mib(pid) for name, pid in bench.pids.items()}
        rows = [await bare_aiohttp(bench, pinned=pinned), *await all_operations(bench, members)]
        hash_ms = argon2_ms()
        log_in = next(row for row in rows if row.name == "log in")
        if pinned:  # what an operator sees: the kernel places hashing where there is room
            for pid in bench.pids.values():
                pin(pid, ALL_CORES)
        quiet, busy = await storm(bench)
    report(rows, idle, began)
    share = hash_ms / log_in.cpu_ms
    print(f"\nargon2id alone: {hash_ms:.1f} ms CPU a hash; {share:.0%} of a log-in.")
    calm, wild = percentile(quiet.times, 99), percentile(busy.times, 99)
    print(f"Session check p99: quiet {calm:.2f} ms, while 16 log-ins run {wild:.2f} ms ({wild / calm:.1f} x).")


async def all_operations(bench: Bench, members: Sequence[str]) -> list[Result]:
    rows = [await bench.measure("send code", bench.count, CLIENTS, bench.send_code, settle=True)]
    await bench.read_codes()
    rows.append(await bench.measure("verify", bench.count, CLIENTS, bench.verify, settle=True))
    rows.append(await bench.measure("register", bench.logins, 8, bench.register, settle=True))
    rows.append(await bench.measure("log in", bench.logins, 8, bench.log_in, settle=True))
    rows.append(await bench.measure("check session, cached", bench.count, CLIENTS, bench.check_session(8)))
    for size, count in ((100, 400), (1000, 200), (5000, 60)):
        job = bench.match(size, members)
        await job(0)
        rows.append(await bench.measure(f"match {size:,} numbers", count, 4, job, settle=True))
    return rows


def report(rows: Sequence[Result], idle: dict[str, float], began: dict[str, float]) -> None:
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}; {REGISTERED:,} registered, {HIT_SHARE:.0%} hits\n")
    print("| operation | requests | a second | p50 ms | p99 ms | CPU ms a request | x bare aiohttp | of which |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for row in rows:
        print(row.row(rows[0].cpu_ms))
    print("\n| process | idle MiB | ready after s |\n| --- | ---: | ---: |")
    for name, mib in idle.items():
        print(f"| {name} | {mib:.0f} | {began[name]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of requests (default 1)")
    parser.add_argument("--no-pin", action="store_true", help="let the kernel place processes")
    chosen = parser.parse_args()
    cores = os.sched_getaffinity(0)
    pinned = len(cores) > 1 and not chosen.no_pin
    if pinned:
        os.sched_setaffinity(0, cores - {0})  # inherited by the servers started below
    environ = {
        "CALLER_LIMITS": "off",
        "ENVIRONMENT": "development",
        "CONTACTS_BUDGET": "100000",
        "LOG_LEVEL": "info",
    }
    with Stack.private(environ=environ, say=say) as stack:
        uvloop.run(run(stack, chosen.scale, pinned=pinned))


if __name__ == "__main__":
    main()
