"""The operations of the bench, and measuring what they cost."""

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from load.processes import CpuMeter, niced_seconds
from load.results import Result
from stack.system import Stack
from support.app import App

from shared.phone import E164, PhoneKeys
from shared.postgres import url_of

REGISTERED = 100_000
HIT_SHARE = 0.2
PASSWORD = "correct horse"
SETTLE_SECONDS = 1.0
MAX_SETTLES = 15
IDLE_SECONDS = 10.0
CLIENTS = 64
SEED_ROWS = 100_000
COLUMNS = ("user_id", "phone_ref", "nickname", "avatar", "visible", "version", "occurred_at", "updated_at")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
CHECKS = 6000
"""Session checks of one client: enough for a stable p99."""

Job = Callable[[int], Awaitable[None]]


def say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


def must(condition: bool, detail: object) -> None:
    """End the bench: a benchmark of failing requests would measure nothing."""
    if not condition:
        raise SystemExit(f"the bench failed: {detail}")


class Bench:
    """The running system, and the numbers and users of this run."""

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
        return {name: service.pid for name, service in self.stack.services.items() if service.is_alive}

    async def measure(self, name: str, count: int, clients: int, job: Job, *, settle: bool = False) -> Result:
        """Run ``job(0)`` to ``job(count - 1)`` with ``clients`` clients. ``settle`` includes the background work that follows."""
        say(f"{name}: {count} requests, {clients} at once")
        result = Result(name)
        left = iter(range(count))
        meter = CpuMeter(self.pids)
        hashed = niced_seconds(self.pids["auth-service"])

        async def client() -> None:
            for position in left:
                started = time.perf_counter()
                await job(position)
                result.times.append(time.perf_counter() - started)

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        result.wall = time.perf_counter() - started
        if settle:
            await self.quiet()
        result.cpu = meter.spent()
        result.hashing = niced_seconds(self.pids["auth-service"]) - hashed
        return result

    async def quiet(self) -> None:
        """Wait until the processes are idle, but not forever: on a slow machine, polling alone looks busy."""
        for _ in range(MAX_SETTLES):
            meter = CpuMeter(self.pids)
            await asyncio.sleep(SETTLE_SECONDS)
            if sum(meter.spent().values()) < 0.05 * SETTLE_SECONDS:
                return

    async def idle_ms(self) -> dict[str, float]:
        """CPU milliseconds a second of each process while nothing is requested."""
        meter = CpuMeter(self.pids)
        await asyncio.sleep(IDLE_SECONDS)
        return {name: seconds * 1000 / IDLE_SECONDS for name, seconds in meter.spent().items()}

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
        must("data" in reply.body, reply)
        self.users[number] = reply.body["data"]

    async def log_in(self, i: int) -> None:
        reply = await self.app.log_in(self.numbers[i % self.logins], PASSWORD)
        must("token" in reply.body, reply)

    def check_session(self, every: int) -> Job:
        """A session check, ``GET /users/{id}``, of ``every`` users in turn. Many users defeat the gateway's cache."""
        users = list(self.users.values())[:every]

        async def check(i: int) -> None:
            user = users[i % every]
            headers = {"Authorization": f"Bearer {user['token']}"}
            reply = await self.app.call("GET", f"/users/{user['userId']}", headers=headers)
            must(reply.status == 200, reply)

        return check

    def match(self, size: int, members: Sequence[str]) -> Job:
        """Match an address book of ``size`` numbers, one in five of them a member, in calls of up to 2,000."""
        user = next(iter(self.users.values()))
        book, hits = address_book(size, members)
        pages = [book[j : j + 2000] for j in range(0, size, 2000)]

        async def match(_: int) -> None:
            matches = 0
            for page in pages:
                reply = await self.app.check_contact(user["userId"], user["token"], page)
                matches += len(reply.body["data"])
            must(matches == hits, f"{matches} of {hits} members found")

        return match


def address_book(size: int, members: Sequence[str]) -> tuple[list[str], int]:
    """Numbers of which one in five is a member's, picked from all of the directory, and how many these are."""
    random = secrets.SystemRandom()
    hits = random.sample(members, int(size * HIT_SHARE))
    book = hits + [f"152{j:08d}" for j in range(size - len(hits))]
    random.shuffle(book)
    return book, len(hits)


async def seed_directory(stack: Stack, count: int = REGISTERED) -> list[str]:
    """Insert members into the directory, as if their events had been applied a while ago. Returns their numbers."""
    keys = PhoneKeys(bytes.fromhex(stack.environ["PHONE_KEY"]))
    members = [f"151{j:08d}" for j in range(count)]
    connection = await asyncpg.connect(url_of(stack.addresses["POSTGRES_URL"], "contacts"))
    try:
        for start in range(0, count, SEED_ROWS):
            page = members[start : start + SEED_ROWS]
            refs = keys.refs(E164("+86" + number) for number in page)
            rows = [
                (start + j + 1, ref, f"用户{start + j}", "", True, 1, LONG_AGO, LONG_AGO) for j, ref in enumerate(refs)
            ]
            await connection.copy_records_to_table("directory", records=rows, columns=COLUMNS)
        await connection.execute("vacuum analyze directory")
    finally:
        await connection.close()
    return members


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


async def storm(bench: Bench) -> tuple[Result, Result]:
    """Session checks on a quiet system, and during 16 log-ins."""
    check = bench.check_session(1)
    quiet = await bench.measure("session check, one client, quiet", CHECKS, 1, check)
    stop = asyncio.Event()

    async def log_ins(start: int) -> None:
        while not stop.is_set():
            await bench.log_in(start)

    running = [asyncio.create_task(log_ins(start)) for start in range(16)]
    await asyncio.sleep(0.5)
    busy = await bench.measure("session check, one client, 16 log-ins running", CHECKS, 1, check)
    stop.set()
    await asyncio.gather(*running)
    return quiet, busy
