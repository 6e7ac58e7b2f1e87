"""The operations of a pair of systems, all through ``/v2``, and what one of them costs one system."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from load.native import FORGOTTEN_SECONDS, NativeUser, code_of, new_users
from load.operations import PASSWORD, Job, address_book, must
from load.processes import CpuMeter, voluntary_switches
from support.app import App

CLIENTS = 16
ONE_CLIENT = "-one"
"""The end of the name of an operation that one client makes, request after request."""
ONE_CLIENT_SHARE = 0.25
CACHED_USERS = 8
LOG_IN_USERS = 8
LOG_IN_CLIENTS = 4
"""Hash threads yield to everything else: on a machine that others use, more clients would wait too long and be refused."""
BOOK = 1000
SETTLE_SECONDS = 0.3
MAX_SETTLES = 20
IDLE_SHARE = 0.05
"""The share of a core that processes without requests may use."""


@dataclass(frozen=True)
class Cost:
    """What one request cost, by process: CPU milliseconds and voluntary context switches; and the seconds of each request."""

    cpu_ms: dict[str, float]
    switches: dict[str, float]
    times: list[float]

    @property
    def total_ms(self) -> float:
        return sum(self.cpu_ms.values())


@dataclass
class PairedSystem:
    """One of the two systems, and the users of this run that it knows."""

    name: str
    app: App
    pids: Mapping[str, int]
    members: list[str] = field(default_factory=list)
    users: list[NativeUser] = field(default_factory=list)
    with_code: list[NativeUser] = field(default_factory=list)
    resolved_at: float = 0.0

    async def measure(self, count: int, clients: int, job: Job) -> Cost:
        """Run ``job(0)`` to ``job(count - 1)``, with the background work that follows."""
        await self.settle()

        async def work() -> None:
            times.extend(await run_jobs(count, clients, job))
            await self.settle()

        times: list[float] = []
        return replace(await self.spent(count, work()), times=times)

    async def spent(self, count: float, work: Awaitable[None]) -> Cost:
        """What all processes spent while ``work`` was done, divided by ``count``."""
        meter, before = CpuMeter(self.pids), self._switches()
        await work
        spent, after = meter.spent(), self._switches()
        cpu_ms = {name: seconds * 1000 / count for name, seconds in spent.items()}
        return Cost(cpu_ms, {name: (after[name] - before[name]) / count for name in after}, [])

    async def settle(self) -> None:
        """Wait until the processes are idle, but not forever: on a slow machine, polling alone looks busy."""
        for _ in range(MAX_SETTLES):
            meter = CpuMeter(self.pids)
            await asyncio.sleep(SETTLE_SECONDS)
            if sum(meter.spent().values()) < IDLE_SHARE * SETTLE_SECONDS:
                return

    async def sign_up(self, count: int) -> None:
        """Make users: some with a password for log-ins, the others without."""
        self.users = new_users(self.app, count)
        await run_jobs(count, CLIENTS, lambda i: self.users[i].send_code())

        for user in self.users[:LOG_IN_USERS]:
            await user.sign_up(await code_of(user), password=PASSWORD)

        async def open_account(i: int) -> None:
            user = self.users[LOG_IN_USERS + i]
            await user.sign_up(await code_of(user))

        await run_jobs(count - LOG_IN_USERS, CLIENTS, open_account)

    async def forget_sessions(self) -> None:
        """Wait until the gateway has forgotten the sessions that it resolved."""
        await asyncio.sleep(self.resolved_at + FORGOTTEN_SECONDS - time.monotonic())

    def _switches(self) -> dict[str, int]:
        return {name: voluntary_switches(pid) for name, pid in self.pids.items()}


async def run_jobs(count: int, clients: int, job: Job) -> list[float]:
    """Run ``job(0)`` to ``job(count - 1)`` with so many clients. Returns the seconds that each took."""
    left, times = iter(range(count)), []

    async def client() -> None:
        for position in left:
            started = time.perf_counter()
            await job(position)
            times.append(time.perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(clients)))
    return times


async def send(system: PairedSystem, count: int) -> Job:
    users = new_users(system.app, count)
    system.with_code += users
    return lambda i: users[i].send_code()


async def sign_up(system: PairedSystem, count: int) -> Job:
    """Check a code and open an account without a password: two calls."""
    missing = count - len(system.with_code)
    if missing > 0:
        await run_jobs(missing, CLIENTS, await send(system, missing))
    users = [system.with_code.pop(0) for _ in range(count)]
    codes = [await code_of(user) for user in users]
    return lambda i: users[i].sign_up(codes[i])


async def session(system: PairedSystem, _: int) -> Job:
    """Session checks that the gateway answers from its memory, but for the first of each user."""
    return lambda i: system.users[i % CACHED_USERS].check_session()


async def session_uncached(system: PairedSystem, count: int) -> Job:
    users = system.users[CACHED_USERS:]
    must(len(users) >= count, "there are fewer users than uncached session checks")
    await system.forget_sessions()
    system.resolved_at = time.monotonic()
    return lambda i: users[i].check_session()


async def refresh(system: PairedSystem, _: int) -> Job:
    return lambda i: system.users[i].refresh()


async def log_in(system: PairedSystem, _: int) -> Job:
    return lambda i: system.users[i % LOG_IN_USERS].log_in(PASSWORD)


async def match(system: PairedSystem, _: int) -> Job:
    """Match an address book of 1,000 numbers, one in five of them a member."""
    book, hits = address_book(BOOK, system.members)
    phones = [f"+86{number}" for number in book]

    async def ask(_: int) -> None:
        must(await system.users[0].match(phones) == hits, "not every member was found")

    return ask


@dataclass(frozen=True)
class Operation:
    """How to prepare it on a system, how many requests it makes, as a multiple of ``--requests``, and by how many clients at most.

    One that ``needs_users`` calls for users that signed up before.
    """

    prepare: Callable[[PairedSystem, int], Awaitable[Job]]
    share: float
    needs_users: bool = True
    max_clients: int = CLIENTS * 4


OPERATIONS = {
    "send": Operation(send, 1, needs_users=False),
    "sign-up": Operation(sign_up, 0.5, needs_users=False),
    "session": Operation(session, 5),
    "session-uncached": Operation(session_uncached, 1),
    "refresh": Operation(refresh, 1),
    "log-in": Operation(log_in, 0.1, max_clients=LOG_IN_CLIENTS),
    "match": Operation(match, 0.1),
}


@dataclass(frozen=True)
class Measurement:
    """An operation by its name, its number of clients, and its number of requests in one turn."""

    name: str
    operation: Operation
    clients: int
    count: int

    @classmethod
    def named(cls, name: str, requests: int, clients: int) -> "Measurement":
        """``send`` and others by ``clients``, ``send-one`` and others by one client. Raises ``KeyError``."""
        operation = OPERATIONS[name.removesuffix(ONE_CLIENT)]
        is_alone = name.endswith(ONE_CLIENT)
        count = int(requests * operation.share * (ONE_CLIENT_SHARE if is_alone else 1))
        return cls(name, operation, 1 if is_alone else min(clients, operation.max_clients), max(8, count))

    async def run(self, system: PairedSystem) -> Cost:
        job = await self.operation.prepare(system, self.count)
        return await system.measure(self.count, self.clients, job)
