"""``make timing``: measures whether the time of a call tells if a number has an account, and fails if it does.

It starts a private system in which accounts are disclosed only after proof, gives half of the numbers an account, and
makes each call for a number with one and a number without, in random order, from ever new networks. Limits on callers
are on. Then it compares the two sets of times. Messages stay in the queue: no worker runs.

By default one call is made at a time, which shows the smallest differences and takes hours. With ``--clients`` several
numbers are tried at once, in a fraction of the CPU, and their times vary more.

``SAMPLES`` is how many calls of each kind are made for numbers with an account, and as many for others. A flow that has
taken ``--seconds`` is cut short, and says so. Nothing else should run on the machine.
"""

import argparse
import asyncio
import re
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import asyncpg
import uvloop
from load.operations import must, say
from load.processes import machine
from load.separation import HEADER, MAX_T, Comparison
from load.timed_calls import FLOWS, Flow, NumberCalls, UnexpectedAnswerError
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App

from shared.postgres import url_of

WARM_UP = 100
"""How many samples of a flow are not counted: connections open, statements are prepared, and caches fill."""
PROGRESS_SECONDS = 20.0
MAX_UNEXPECTED = 5
"""How many unexpected answers a flow may get: the wrong code is the right one now and then."""
ENVIRON = {
    "ACCOUNT_DISCLOSURE": "after_proof",
    "CALLER_WRONG_CODES_PER_HOUR": "1000000",  # over all networks: these samples are more than a site's real users enter
    "ENVIRONMENT": "development",
    "LOG_LEVEL": "warning",
    "TRUSTED_PROXIES": "127.0.0.1",
}
ADD_ACCOUNTS = """
    insert into accounts select (jsonb_populate_record(a, jsonb_build_object(
        'user_id', 140737488355328 + n, 'phone', '+86151' || lpad(n::text, 8, '0')
    ))).* from accounts a, generate_series(0, $1 - 1) as n where a.phone = $2
"""
ADD_NETWORKS = """
    insert into known_networks select 140737488355328 + n, k.network / 2 + m, k.proven_on
    from known_networks k join accounts a using (user_id), generate_series(0, $1 - 1) as n, generate_series(1, 8) as m
    where a.phone = $2
"""
SMS_TABLES = "number_activity, verifications, verification_events, messages, outbox"


@dataclass(frozen=True)
class Load:
    """How many numbers are tried at once, and the longest time of one flow in seconds."""

    clients: int
    seconds: float


@dataclass
class Times:
    """The times of each step of a flow, for numbers with an account (True) and without (False)."""

    flow: Flow
    seconds: dict[tuple[int, bool], list[float]] = field(default_factory=dict)
    unexpected: int = 0

    async def sample(self, calls: NumberCalls) -> list[float]:
        """Make the calls for one number. Returns the seconds that each took, up to an unexpected answer."""
        took: list[float] = []
        try:
            for _, make in self.flow.steps:
                before = time.perf_counter()
                await make(calls)
                took.append(time.perf_counter() - before)
        except UnexpectedAnswerError as error:
            self.unexpected += 1
            must(self.unexpected <= MAX_UNEXPECTED, error)
        return took

    def add(self, took: Sequence[float], *, registered: bool) -> None:
        for step, seconds in enumerate(took):
            self.seconds.setdefault((step, registered), []).append(seconds)

    def comparisons(self) -> list[Comparison]:
        return [
            Comparison(f"{self.flow.name}: {name}", self.seconds[step, True], self.seconds[step, False])
            for step, (name, _) in enumerate(self.flow.steps)
        ]


async def add_accounts(stack: Stack, gateway: str, count: int) -> None:
    """Register one number through the gateway, and copy its account to ``count`` numbers.

    Each gets as many known networks as an account can have, which is the most that a look-up returns.
    """
    number = f"150{secrets.randbelow(10**8):08d}"
    async with App.connect(gateway, stack.url("sms-service")) as app:
        stack.launch("sms-worker")
        await app.register(number, "the password")
        stack.services["sms-worker"].stop()
    connection = await asyncpg.connect(url_of(stack.addresses["POSTGRES_URL"], "auth"))
    try:
        for statement in (ADD_ACCOUNTS, ADD_NETWORKS):
            await connection.execute(statement, count, f"+86{number}")
        await connection.execute("vacuum analyze accounts, known_networks")
    finally:
        await connection.close()


async def forget_codes(stack: Stack) -> None:
    """Empty the tables of codes, so that the next flow finds numbers for which no code was ever requested.

    The audit trail keeps its rows by a trigger, which does not run for a session that replicates.
    """
    connection = await asyncpg.connect(url_of(stack.addresses["POSTGRES_URL"], "sms"))
    try:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(f"truncate {SMS_TABLES}")
    finally:
        await connection.close()


def numbers_of(position: int) -> dict[bool, str]:
    """The numbers of one sample: one of those with an account, and one without."""
    return {True: f"151{position:08d}", False: f"152{position:08d}"}


async def measure(http: aiohttp.ClientSession, gateway: str, flow: Flow, samples: int, load: Load) -> Times:
    """Make the calls of a flow for each number, by several clients."""
    times, started, reported = Times(flow), time.monotonic(), time.monotonic()
    positions = iter(range(-min(WARM_UP, samples), samples))

    async def client() -> None:
        nonlocal reported
        for position in positions:
            numbers = numbers_of(position if position >= 0 else samples - position)
            for registered in secrets.SystemRandom().sample((True, False), 2):
                took = await times.sample(NumberCalls(http, gateway, numbers[registered]))
                if position >= 0:
                    times.add(took, registered=registered)
            now = time.monotonic()
            if now - reported > PROGRESS_SECONDS:
                reported = now
                say(f"{flow.name}: {position + 1:,} of {samples:,}, {now - started:.0f} s")
            if now - started > load.seconds:
                say(f"{flow.name}: cut short after {position + 1:,} of {samples:,} samples, {load.seconds:.0f} s")
                return

    await asyncio.gather(*(client() for _ in range(load.clients)))
    return times


async def run(stack: Stack, flows: Sequence[Flow], samples: int, load: Load) -> list[Comparison]:
    say("starting servers and services")
    stack.start_servers(then=stack.migrate)
    for name in ("auth-service", "sms-service", "gateway"):
        stack.launch(name)
    gateway = stack.url("gateway")
    await add_accounts(stack, gateway, samples + WARM_UP + 1)
    print(f"\n{machine()}; {load.clients} at once; {time.strftime('%Y-%m-%d')}\n\n{HEADER}", flush=True)
    compared: list[Comparison] = []
    connector = aiohttp.TCPConnector(limit=load.clients)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        for flow in flows:
            await forget_codes(stack)
            say(f"{flow.name}: {samples:,} numbers with an account and as many without")
            times = await measure(http, gateway, flow, samples, load)
            for comparison in times.comparisons():
                print(comparison.row(), flush=True)
                compared.append(comparison)
    return compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000, help="calls of each kind for each set (default 20,000)")
    parser.add_argument("--seconds", type=float, default=3600, help="the longest time of one flow (default 3,600)")
    parser.add_argument("--only", default="", help="measure the flows whose name matches this expression")
    parser.add_argument("--clients", type=int, default=1, help="how many numbers are tried at once (default 1)")
    options = parser.parse_args()
    load = Load(options.clients, options.seconds)
    flows = [flow for flow in FLOWS if re.search(options.only, flow.name)]
    must(bool(flows), f"no flow matches {options.only!r}")
    accept_interrupts()
    with Stack.private(environ=ENVIRON, notify=say) as stack:
        compared = uvloop.run(run(stack, flows, options.samples, load))
    separable = [comparison.call for comparison in compared if comparison.is_separable]
    if separable:
        sys.exit(f"\nTimes tell which numbers have an account (|t| >= {MAX_T}): {'; '.join(separable)}")
    fewest = min(compared, key=lambda comparison: len(comparison.with_account))
    print(f"\nNo time tells which numbers have an account (|t| < {MAX_T}).")
    print(f"The fewest samples of each: {len(fewest.with_account):,} ({fewest.call}).")


if __name__ == "__main__":
    main()
