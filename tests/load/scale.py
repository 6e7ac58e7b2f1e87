"""``make scale``: what docs/scale.md computes with. It starts a private system and prints three tables.

1. One, two and four replicas of gateway, auth-service, sms-service and worker: what a code costs in each of our
   processes and on each server, whether the cost grows with the replicas, and how many pass in a second here.
2. What each operation writes: bytes of write-ahead log and commits.
3. Bytes of a row in each table that grows, with its indexes.

Nothing is asserted. Two cores carry everything, so a second shows the limit of this machine, and CPU time the cost.
"""

import argparse
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import uvloop
from load import row_sizes
from load.engines import Engines, Spent
from load.operations import CLIENTS, PASSWORD, Bench, must, say
from load.processes import machine
from load.results import Result
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App, fresh_number

from contacts_service.directory.directory import Directory
from contacts_service.store import Store
from shared import postgres

REPLICAS = (1, 2, 4)
NATIVE_USERS = 20
HASHING_CLIENTS = 2
"""Registrations at once: more would be shed on a machine that does other work, and a refused one costs nothing."""
SERVERS = ("postgres", "redis", "rabbitmq")
ENVIRON = {
    "CALLER_LIMITS": "on",  # every request comes from another address, so none is refused, and Valkey is asked
    "TRUSTED_PROXIES": "127.0.0.0/8",
    "ENVIRONMENT": "development",
    "DIRECTORY_CHECK_SECONDS": "0",
    "LOG_LEVEL": "info",
}


@dataclass(frozen=True)
class Cost:
    """What one operation cost, over all its requests."""

    replicas: int
    result: Result
    engines: Spent

    def ms(self, name: str) -> float:
        """CPU milliseconds of one request in all replicas of a process, or in a server."""
        spent = _by_process(self.result.cpu) | self.engines.cpu
        return spent.get(name, 0.0) * 1000 / len(self.result.times)

    @property
    def rate(self) -> float:
        return len(self.result.times) / self.result.wall


def _by_process(cpu: dict[str, float]) -> dict[str, float]:
    """CPU seconds by process, over its replicas."""
    total: Counter[str] = Counter()
    for label, seconds in cpu.items():
        total[label.partition("#")[0]] += seconds
    return dict(total)


class Chains:
    """Several copies of the system's processes over one set of servers, each gateway with services of its own."""

    def __init__(self, stack: Stack, engines: Engines, resources: AsyncExitStack, scale: float) -> None:
        self._stack, self._engines, self._resources, self._scale = stack, engines, resources, scale
        self.benches: list[Bench] = []

    async def grow(self, count: int) -> None:
        """Start copies until there are ``count``, and give all of them fresh numbers."""
        while len(self.benches) < count:
            gateway = self._launch(len(self.benches) + 1)
            app = await self._resources.enter_async_context(
                App.connect(gateway, self._stack.url("sms-service"), spread=True)
            )
            self.benches.append(Bench(self._stack, app, self._scale))
        fresh = Bench(self._stack, self.benches[0].app, self._scale)
        for bench in self.benches:
            bench.numbers, bench.codes, bench.tickets = fresh.numbers, fresh.codes, fresh.tickets

    def _launch(self, position: int) -> str:
        """Start one copy and return the address of its gateway."""
        if position == 1:
            self._stack.start_services()
            return self._stack.url("gateway")
        urls = {}
        for name, variable in (("auth-service", "AUTH_URL"), ("sms-service", "SMS_URL")):
            urls[variable] = self._stack.launch(name, label=f"{name}#{position}").url
        self._stack.launch("sms-worker", label=f"sms-worker#{position}")
        return self._stack.launch("gateway", label=f"gateway#{position}", env=urls).url

    async def measure(self, name: str, count: int, clients: int, job: Callable[[Bench, int], Awaitable[None]]) -> Cost:
        """One operation, spread over all copies."""
        before = await self._engines.spent()
        copies = len(self.benches)
        result = await self.benches[0].measure(
            f"{name}, {copies}", count, clients, lambda i: job(self.benches[i % copies], i), settle=True
        )
        return Cost(copies, result, await self._engines.spent() - before)


async def operations(chains: Chains) -> list[Cost]:
    """A code requested, a code checked, and an account registered."""
    first = chains.benches[0]
    costs = [await chains.measure("send code", first.count, CLIENTS, Bench.send_code)]
    await first.read_codes()
    for bench in chains.benches:
        bench.codes = first.codes
    costs.append(await chains.measure("verify", first.count, CLIENTS, Bench.verify))
    costs.append(await chains.measure("register", first.logins, HASHING_CLIENTS, Bench.register))
    return costs


async def sign_up_natively(app: App, count: int) -> None:
    """Register users by ``/v2``, whose sessions have refresh tokens: rows that the other contract does not make."""
    for number in (fresh_number() for _ in range(count)):
        named = {"phone": number, "purpose": "sign_up"}
        await app.call("POST", "/v2/verifications", json=named)
        checked = await app.call("POST", "/v2/verifications/check", json=named | {"code": await app.code(number)})
        account = {"ticket": checked.body["ticket"], "password": PASSWORD, "nickname": "Ada"}
        reply = await app.call("POST", "/v2/accounts", json=account)
        must(reply.status == 201, reply)


async def build_filter(postgres_url: str) -> str:
    """What contacts-service needs for its filter, which a process of its own fills: a line of text."""
    async with postgres.pool(postgres_url, "contacts") as pool:
        directory = Directory(Store(pool))
        members = await pool.fetchval("select count(*) from directory where visible")
        started, own, filling = time.perf_counter(), time.process_time(), _cpu_of_children()
        await directory.build()
        seconds, own, filling = time.perf_counter() - started, time.process_time() - own, _cpu_of_children() - filling
    millions = members / 1e6
    return (
        f"The filter of {members:,} members: built in {seconds:.2f} s; CPU of a million: {filling / millions:.2f} s of the "
        f"process that fills it, {own / millions:.2f} s of contacts-service."
    )


def _cpu_of_children() -> float:
    """CPU seconds of the processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def run(stack: Stack, scale: float, rows: int) -> None:
    async with AsyncExitStack() as resources:
        engines = await Engines.of(stack)
        resources.push_async_callback(engines.close)
        chains = Chains(stack, engines, resources, scale)
        costs = []
        for count in REPLICAS:
            await chains.grow(count)
            costs += await operations(chains)
        await sign_up_natively(chains.benches[0].app, NATIVE_USERS)
    report(costs)
    say(f"multiplying rows: {rows:,} in each table")
    sizes = await row_sizes.all_sizes(stack.addresses["POSTGRES_URL"], rows)
    print(f"\n{await build_filter(stack.addresses['POSTGRES_URL'])}")
    print("\n| table | heap, bytes a row | indexes | together |\n| --- | ---: | ---: | ---: |")
    for size in sizes.values():
        print(f"| `{size.table}` | {size.heap:.0f} | {size.indexes:.0f} | {size.total:.0f} |")


def report(costs: Sequence[Cost]) -> None:
    ours = ("gateway", "auth-service", "sms-service", "sms-worker", "contacts-service")
    names = (*ours, *SERVERS)
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}; CPU ms of a request, over all replicas\n")
    print(f"| operation, replicas | a second | ours | {' | '.join(names)} |")
    print(f"| --- | ---: | ---: | {' | '.join('---:' for _ in names)} |")
    for cost in costs:
        cells = " | ".join(f"{cost.ms(name):.2f}" for name in names)
        print(f"| {cost.result.name} | {cost.rate:,.0f} | {sum(map(cost.ms, ours)):.2f} | {cells} |")
    print("\n| operation, replicas | bytes of WAL a request | commits a request |\n| --- | ---: | ---: |")
    for cost in costs:
        count = len(cost.result.times)
        print(f"| {cost.result.name} | {cost.engines.wal / count:,.0f} | {cost.engines.commits / count:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of requests (default 1)")
    parser.add_argument("--rows", type=int, default=200_000, help="rows in each table (default 200,000)")
    options = parser.parse_args()
    accept_interrupts()
    with Stack.private(environ=ENVIRON, notify=say) as stack:
        stack.start_servers(then=stack.migrate)
        uvloop.run(run(stack, options.scale, options.rows))


if __name__ == "__main__":
    main()
