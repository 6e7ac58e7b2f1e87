"""``make bench-long``: ten minutes of visits, more of them each minute: what ran out first, p99, growth of memory.

A visit is what a new user does: request a code, read it, check it and sign up, look at the account four times, refresh the
tokens, and match an address book of 100 numbers. Visits begin at a fixed rate, whether or not earlier ones have ended, and
each minute at a higher one. The kernel places all processes; servers and clients share the cores with ours. A minute is
*full* when calls fail, or when more than a second's visits are late. For that minute the report says what was used up: a
process of ours that had no core left for its one thread, the connections of a pool, or all cores. The run ends with it:
later ones would only make the queue longer. Nothing is asserted.
"""

import argparse
import asyncio
import itertools
import re
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import uvloop
from load.engines import tree_seconds
from load.native import NativeUser
from load.operations import address_book, say, seed_directory
from load.processes import ALL_CORES, CpuMeter, machine, resident_mib
from load.results import percentile
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App

MINUTES = 10
FIRST_RATE = 20.0
GROWTH = 1.25
"""Visits a second in the first minute, and by what each further minute multiplies them."""
CHECKS = 4
BOOK = 100
MEMBERS = 10_000
SAMPLE_SECONDS = 1.0
BUSY = 0.9
"""A process whose event loop takes this share of a core has none left for more requests."""
DRAIN_SECONDS = 60.0
_WAITING = re.compile(r'^haoma_pool_waiting\{pool="([^"]+)"\} ([0-9.]+)', re.MULTILINE)

Timed = Callable[[str, Awaitable[Any]], Awaitable[Any]]


class FailedCallError(Exception):
    """A call of a visit was not answered as it should be."""


class Visitor(NativeUser):
    """A user whose calls may fail: on a full system they do."""

    async def call(self, expected: int, method: str, path: str, **options: Any) -> Any:
        try:
            reply = await self.app.call(method, path, **options)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise FailedCallError(type(error).__name__) from error
        if reply.status != expected:
            raise FailedCallError(str(reply.status))
        return reply


@dataclass
class Minute:
    """What was measured in one minute."""

    rate: float
    seconds: float = 60.0
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds of each call, by operation."""
    failures: Counter[str] = field(default_factory=Counter)
    late: int = 0
    """Visits that had not ended when the minute did."""
    shares: dict[str, float] = field(default_factory=dict)
    """Cores that each of our processes and each server used."""
    waiting: Counter[str] = field(default_factory=Counter)
    """The most callers that waited for a pool, by process and pool."""
    mib: dict[str, float] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Whether the system could not serve all visits."""
        return bool(self.failures) or self.late > self.rate

    def used_up(self, ours: Sequence[str]) -> str:
        """What was used up in a full minute."""
        busy = [f"{name} at {self.shares[name]:.0%} of a core" for name in ours if self.shares[name] >= BUSY]
        pools = [f"{count} waited for {pool}" for pool, count in self.waiting.most_common(3)]
        total = sum(self.shares.values())
        cores = [f"all cores ({total:.1f} of {len(ALL_CORES)})"] if total >= BUSY * len(ALL_CORES) else []
        return ", ".join(busy + pools + cores) or "nothing that is measured here"

    def row(self, number: int) -> str:
        """One row of the printed table."""
        calls = [seconds for times in self.times.values() for seconds in times]
        p99 = " | ".join(f"{percentile(self.times[name], 99):.0f}" for name in OPERATIONS)
        failed = ", ".join(f"{count} x {why}" for why, count in self.failures.items()) or "0"
        cpu = ", ".join(f"{name} {share:.2f}" for name, share in self.shares.items())
        return (
            f"| {number} | {self.rate:.0f} | {len(calls) / self.seconds:,.0f} | {failed} | {self.late} | {percentile(calls, 50):.1f} "
            f"| {p99} | {cpu} | {sum(self.mib.values()):.0f} |"
        )


OPERATIONS = ("send code", "check and sign-up", "check session", "refresh", "match")


async def visit(app: App, phone: str, book: Sequence[str], timed: Timed) -> None:
    """Everything that one new user does. Raises ``FailedCallError``."""
    user = Visitor(app, phone)
    await timed("send code", user.send_code())
    await timed("check and sign-up", user.sign_up(await app.code(phone.removeprefix("+86"))))
    for _ in range(CHECKS):
        await timed("check session", user.check_session())
    await timed("refresh", user.refresh())
    headers = {"Authorization": f"Bearer {user.tokens['access_token']}"}
    await timed("match", user.call(200, "POST", "/v2/contacts/match", json={"phones": book}, headers=headers))


class Endurance:
    """The running system, and the visits that are under way."""

    def __init__(self, stack: Stack, app: App, members: Sequence[str]) -> None:
        self._stack = stack
        self._app = app
        self._members = members
        self._numbers = itertools.count(secrets.randbelow(10**8))
        self._visits: set[asyncio.Task[None]] = set()
        self.ours = {name: service.pid for name, service in stack.services.items()}

    async def minute(self, rate: float, seconds: float) -> Minute:
        """Let visits begin at this rate for so long, and measure."""
        minute, started = Minute(rate, seconds), time.perf_counter()
        cpu, servers = CpuMeter(self.ours), self._server_seconds()
        async with self._sampling(minute):
            for position in range(round(rate * seconds)):
                await asyncio.sleep(started + position / rate - time.perf_counter())
                task = asyncio.create_task(self._visit(minute))
                self._visits.add(task)
                task.add_done_callback(self._visits.discard)
            await asyncio.sleep(started + seconds - time.perf_counter())
        elapsed = time.perf_counter() - started
        minute.late = len(self._visits)
        spent = cpu.spent() | {name: after - servers[name] for name, after in self._server_seconds().items()}
        minute.shares = {name: used / elapsed for name, used in spent.items()}
        minute.mib = {name: resident_mib(pid) for name, pid in self.ours.items()}
        return minute

    async def end(self) -> None:
        """Wait for the visits that are under way."""
        if self._visits:
            await asyncio.wait(self._visits, timeout=DRAIN_SECONDS)

    async def _visit(self, minute: Minute) -> None:
        async def timed(name: str, call: Awaitable[Any]) -> Any:
            started = time.perf_counter()
            result = await call
            minute.times[name].append(time.perf_counter() - started)
            return result

        phone, (book, _) = f"+86138{next(self._numbers) % 10**8:08d}", address_book(BOOK, self._members)
        try:
            await visit(self._app, phone, book, timed)
        except FailedCallError as error:
            minute.failures[str(error)] += 1
        except (aiohttp.ClientError, TimeoutError, AssertionError) as error:  # the message did not arrive in the inbox
            minute.failures[f"no message ({type(error).__name__})"] += 1

    def _server_seconds(self) -> dict[str, float]:
        return {server.name: tree_seconds(server.process.pid) for server in self._stack.servers.all}

    @asynccontextmanager
    async def _sampling(self, minute: Minute) -> AsyncIterator[None]:
        """Note every second how many callers wait for connections."""
        task = asyncio.create_task(self._sample(minute))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _sample(self, minute: Minute) -> None:
        urls = {name.removesuffix("_MONITORING_URL"): url for name, url in self._stack.monitoring_addresses.items()}
        while True:
            for process, url in urls.items():
                async with self._app.http.get(f"{url}/metrics") as response:
                    found = _WAITING.findall(await response.text())
                for pool, count in found:
                    if waiting := int(float(count)):
                        key = f"{pool} of {process.lower()}"
                        minute.waiting[key] = max(minute.waiting[key], waiting)
            await asyncio.sleep(SAMPLE_SECONDS)


async def run(stack: Stack, minutes: int, rate: float, seconds: float) -> None:
    stack.start_servers(then=stack.migrate)
    members = await seed_directory(stack, MEMBERS)
    stack.start_services()
    async with App.connect(stack.url("gateway"), stack.url("sms-service")) as app:
        endurance = Endurance(stack, app, members)
        say("warming up")
        await endurance.minute(rate, min(10.0, seconds))
        measured = []
        for number in range(minutes):
            say(f"minute {number + 1}: {rate * GROWTH**number:.0f} visits a second")
            measured.append(await endurance.minute(rate * GROWTH**number, seconds))
            if measured[-1].is_full:
                break
        await endurance.end()
    report(measured, list(endurance.ours))


def report(minutes: Sequence[Minute], ours: Sequence[str]) -> None:
    """Print a row for each minute, what ran out first, and the growth of memory."""
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}\n")
    p99 = " | ".join(f"{name}, p99 ms" for name in OPERATIONS)
    print(f"| minute | visits a second | calls a second | failed | late visits | p50 ms | {p99} | cores | our MiB |")
    print("| ---: | ---: | ---: | --- | ---: | ---: |" + " ---: |" * len(OPERATIONS) + " --- | ---: |")
    for number, minute in enumerate(minutes, 1):
        print(minute.row(number))
    full = next(((number, minute) for number, minute in enumerate(minutes, 1) if minute.is_full), None)
    if full:
        number, minute = full
        print(f"\nFull in minute {number}, at {minute.rate:.0f} visits a second: {minute.used_up(ours)}.")
    else:
        print("\nNo minute was full.")
    for name in ours:
        print(
            f"{name}: {minutes[0].mib[name]:.0f} MiB after the first minute, {minutes[-1].mib[name]:.0f} after the last."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=MINUTES, help="how many (default 10)")
    parser.add_argument("--seconds", type=float, default=60.0, help="the length of a minute, for a try (default 60)")
    parser.add_argument("--rate", type=float, default=FIRST_RATE, help="visits a second at first (default 20)")
    options = parser.parse_args()
    accept_interrupts()
    environ = {
        "CALLER_LIMITS": "off",
        "ENVIRONMENT": "development",
        "DIRECTORY_CHECK_SECONDS": "0",  # the directory has members without accounts
        "LOG_LEVEL": "info",
    }
    with Stack.private(environ=environ, notify=say) as stack:
        uvloop.run(run(stack, options.minutes, options.rate, options.seconds))


if __name__ == "__main__":
    main()
