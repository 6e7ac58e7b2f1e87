"""What users notice of an import: the same calls at the same pace without it, and while users move in beside them.

Run alone: ``PYTHONPATH=deploy:tests python -m rehearsal.live_traffic --seconds 60``. ``make moving-check`` runs it, too.
Calls come at fixed times, whether or not earlier ones have ended, and a call's time begins when it was due: a system
that is late cannot hide it. Limits on callers are on, and each call comes from another network, as those of users do.
It fails if a call is refused, or if more calls than without the import take over twice the p99 that they have without it.
(A few calls of a quiet system do, too.)
"""

import argparse
import asyncio
import gc
import itertools
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import uvloop
from load.operations import say
from load.processes import machine
from load.results import percentile
from rehearsal.old_base import KINDS, OldUser
from rehearsal.scene import OPERATOR, must
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App, Reply, fresh_number
from support.native import call, register

from shared.postgres import url_of

ENVIRON = {
    "CALLER_LIMITS": "on",
    "TRUSTED_PROXIES": "127.0.0.1",
    "ENVIRONMENT": "development",
    "LOG_LEVEL": "error",
}
PASSWORD = "correct horse"
USERS = 100
"""Enough that none of them reaches the limit on log-ins of a number."""
SESSIONS_A_SECOND, LOG_INS_A_SECOND, CODES_A_SECOND = 20.0, 4.0, 4.0
USERS_A_SECOND = 200
"""More than the machine imports: the import does not end before the measurement does."""
MAX_SLOWDOWN = 2.0
"""How many times the p99 of the quiet system a call takes that counts as slow."""
HALF_OF_THE_CPUS = ("--threads", str(max(1, len(os.sched_getaffinity(0)) // 2)))
ROUNDS = 6
WARM_UP_SECONDS = 5.0
"""Calls beside the import that do not count: the services open the connections that they need from then on."""
SETTLE_SECONDS = 1.0


@dataclass
class Times:
    """How long the calls of one kind took, in seconds from when they were due, and the refusals."""

    seconds: list[float] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class User:
    number: str
    token: str


class Traffic:
    """The calls of users who are here already."""

    def __init__(self, app: App, users: list[User]) -> None:
        self._app = app
        self._users = itertools.cycle(users)

        self._kinds: Mapping[str, tuple[float, Callable[[], Awaitable[Reply]]]] = {
            "GET /v2/me": (SESSIONS_A_SECOND, self._show_me),
            "POST /v2/sessions": (LOG_INS_A_SECOND, self._log_in),
            "POST /v2/verifications": (CODES_A_SECOND, self._send_code),
        }

    def no_times(self) -> dict[str, Times]:
        """Times of each kind of call, empty."""
        return {name: Times() for name in self._kinds}

    async def measure(self, times: Mapping[str, Times], seconds: float) -> None:
        """Make calls of each kind at its pace for so long, and add their times."""
        await asyncio.gather(*(_pace(times[name], seconds, rate, make) for name, (rate, make) in self._kinds.items()))

    async def _show_me(self) -> Reply:
        return await call(self._app, "GET", "/v2/me", next(self._users).token)

    async def _log_in(self) -> Reply:
        return await call(self._app, "POST", "/v2/sessions", phone=next(self._users).number, password=PASSWORD)

    async def _send_code(self) -> Reply:
        return await call(self._app, "POST", "/v2/verifications", phone=fresh_number(), purpose="sign_up")


async def _pace(times: Times, seconds: float, rate: float, make: Callable[[], Awaitable[Reply]]) -> None:
    """Begin calls at fixed times, and wait for the last. The clock is not the loop's, which counts milliseconds."""
    begin, calls = time.perf_counter(), []

    async def one(due: float) -> None:
        reply = await make()
        times.seconds.append(time.perf_counter() - due)
        if reply.status >= 400:
            times.refusals[reply.status] += 1

    for position in range(int(seconds * rate)):
        due = begin + position / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        calls.append(asyncio.create_task(one(due)))
    await asyncio.gather(*calls)


@asynccontextmanager
async def importing(stack: Stack, users: int, words: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Import made-up users of the first kind until the block ends, in a session of its own: that of the operator."""
    file, kind = stack.folder.path / "live.ndjson", KINDS[0]
    lines = (json.dumps(OldUser(user_id, kind).line()) + "\n" for user_id in range(1, users + 1))
    await asyncio.to_thread(file.write_text, "".join(lines))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth_service", "import", str(file), *words, *OPERATOR,
        env=stack.environ_of("auth-service"), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
        must(process.returncode is None, "the import ended before the measurement")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def count_imported(stack: Stack) -> int:
    connection = await asyncpg.connect(url_of(stack.addresses["POSTGRES_URL"], "auth"))
    try:
        return int(await connection.fetchval("select count(*) from imported_accounts"))
    finally:
        await connection.close()


async def registered(app: App, count: int) -> list[User]:
    """Users who are here already, each with a session."""
    users = []
    for _ in range(count):
        number = fresh_number()
        tokens = (await register(app, number, password=PASSWORD))["tokens"]
        users.append(User(number, tokens["access_token"]))
    return users


async def compare(stack: Stack, seconds: float, words: Sequence[str]) -> bool:
    """Measure the quiet system, and the system beside an import. Prints a table; False if a call was refused or slow.

    They take turns, and the import stands still meanwhile: what else runs on the machine concerns both.
    """
    async with App.connect(stack.url("gateway"), stack.url("sms-service"), spread=True) as app:
        say(f"{USERS} users register")
        traffic = Traffic(app, await registered(app, USERS))
        quiet, beside, imported = traffic.no_times(), traffic.no_times(), 0
        async with importing(stack, int((seconds + 60) * USERS_A_SECOND), words) as process:
            while await count_imported(stack) == 0:
                await asyncio.sleep(0.1)
            await traffic.measure(traffic.no_times(), WARM_UP_SECONDS)
            say(f"{ROUNDS} rounds, quiet and beside an import ({' '.join(words)})")
            gc.freeze()  # or a collection would stand still for longer than a call takes
            for _ in range(ROUNDS):
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(SETTLE_SECONDS)
                before = await count_imported(stack)
                await traffic.measure(quiet, seconds / ROUNDS)
                process.send_signal(signal.SIGCONT)
                await traffic.measure(beside, seconds / ROUNDS)
                imported += await count_imported(stack) - before
    print(f"{machine()}; {imported / seconds:.0f} users imported a second\n")
    return print_comparison(quiet, beside)


def print_comparison(quiet: Mapping[str, Times], beside: Mapping[str, Times]) -> bool:
    """Print a line for each kind of calls, with both systems in it. False if a call was refused or slow."""
    print("Milliseconds and counts: quiet, beside the import.\n")
    print("| call | calls | p50 | p99 | p99 x | slowest | over 2 x quiet p99 | refused |")
    print("| --- | ---: | --- | --- | ---: | --- | --- | --- |")
    is_good = True
    for name in quiet:
        comparison = Comparison(quiet[name], beside[name])
        print(f"| {name} | {len(quiet[name].seconds)} | {comparison} |")
        is_good = is_good and comparison.is_good
    return is_good


@dataclass(frozen=True)
class Comparison:
    """The calls of one kind, without an import and beside it."""

    quiet: Times
    beside: Times

    @property
    def slowdown(self) -> float:
        """How many times as long the slowest hundredth takes beside the import."""
        return percentile(self.beside.seconds, 99) / percentile(self.quiet.seconds, 99)

    @property
    def is_good(self) -> bool:
        """Whether no call was refused, and no more calls were slow than without the import."""
        quiet, beside = self._slow_calls()
        return not self._refused() and beside <= quiet

    def __str__(self) -> str:
        """The cells of the table, in milliseconds."""
        times = (self.quiet.seconds, self.beside.seconds)
        p50, p99 = ([percentile(each, share) for each in times] for share in (50, 99))
        slowest = [1000 * max(each) for each in times]
        refusals = [each.refusals.total() for each in (self.quiet, self.beside)]
        cells = [_pair(p50, ".1f"), _pair(p99, ".1f"), f"{self.slowdown:.1f}", _pair(slowest, ".1f")]
        return " | ".join([*cells, _pair(self._slow_calls(), "d"), _pair(refusals, "d")])

    def _slow_calls(self) -> tuple[int, int]:
        limit = MAX_SLOWDOWN * percentile(self.quiet.seconds, 99) / 1000
        quiet, beside = (sum(each > limit for each in times.seconds) for times in (self.quiet, self.beside))
        return quiet, beside

    def _refused(self) -> int:
        return self.quiet.refusals.total() + self.beside.refusals.total()


def _pair(values: Sequence[float], form: str) -> str:
    return ", ".join(format(each, form) for each in values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two measurements")
    parser.add_argument("words", nargs="*", help="options of the import, after -- (default: half of the CPUs)")
    options = parser.parse_args()
    accept_interrupts()
    with Stack.private(environ=ENVIRON, notify=say) as stack:
        stack.start()
        return 0 if uvloop.run(compare(stack, options.seconds, options.words or HALF_OF_THE_CPUS)) else 1


if __name__ == "__main__":
    sys.exit(main())
