"""``make moving-check``: how fast users are imported, that no kill loses or doubles one, and that refusals take as long.

It starts a private PostgreSQL and compares the import of ``--users`` users, whose digests are those of UCenter, with the
pure rate of argon2id in as many threads on the same machine, before and after. Then it imports as many others while the
command is killed ``--kills`` times at random moments, and compares the tables with the file. Then it gives one user
``--duplicates`` times, and looks how much memory that needs. At last it compares the
time of a wrong password of imported users with that of a number without an account: digests of UCenter without a hold,
and bcrypt with one. It fails below ``--min-share``, if a user is missing or is there twice, and if the medians of two times
differ by more than ``MAX_DIFFERENCE``. Nothing else should run on the machine.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import resource
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import bcrypt
import uvloop
from argon2.low_level import Type, hash_secret_raw
from load.operations import must, say
from load.processes import machine
from rehearsal.duplicates import import_duplicates
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App

from auth_service.importing.command import NICENESS
from auth_service.passwords.hashing_threads import MAX_NICENESS, NICENESS_STEP
from shared.postgres import url_of

MIN_SHARE = 0.9
"""The least share of the pure rate."""
MAX_DIFFERENCE = 0.05
"""How much the median times of two refusals may differ."""
LONGEST_HOLD = "1"
HOLD = "0.4"
"""``PASSWORD_REFUSAL_SECONDS`` of the service; the import has ``LONGEST_HOLD``, so that a busy machine does not stop it."""
BCRYPT = bcrypt.hashpw(b"password", bcrypt.gensalt(8)).decode()
MIN_LONGEST = 8.0
"""Seconds in which a batch is done, or a kill would never find one."""
WARM_UP = 30
DUPLICATE = 99_000_000
"""The id of the user who is there again and again, above all others."""
FEW_LINES = 256
MAX_MORE_MIB = 16
HASHES_ALONE = 50
PURE_HASHES = 200
"""Hashes of a measurement of the pure rate, for each thread."""
COUNTS = """
    select
        (select count(*) from accounts), (select count(distinct phone) from accounts),
        (select count(*) from imported_accounts),
        (select count(*) from audit_log where action = 'account.imported'),
        (select count(*) from outbox), (select count(distinct convert_from(body, 'UTF8')::jsonb ->> 'subject') from outbox)
"""
DIGESTS = "select count(*) from accounts where password_hash like '%|%' and password_hash !~ '^[0-9]+[$]argon2id[$]'"


def user_line(user_id: int) -> str:
    """A user of UCenter."""
    salt = secrets.token_hex(3)
    digest = hashlib.md5((hashlib.md5(f"password {user_id}".encode()).hexdigest() + salt).encode()).hexdigest()
    password = {"format": "md5(md5(p)+salt)", "digest": digest, "salt": salt}
    return json.dumps(
        {"id": user_id, "phone": f"139{user_id:08d}", "nickname": f"user {user_id}", "password": password}
    )


def pure_rate(threads: int) -> float:
    """Hashes a second of argon2id with our cost and nothing else, at the priority of the import's threads."""

    def hash_many(_: int) -> None:
        for _ in range(PURE_HASHES):
            hash_secret_raw(b"x" * 32, b"0123456789abcdef", 2, 19_456, 1, 32, Type.ID)

    started = time.perf_counter()
    with ThreadPoolExecutor(threads, initializer=_yield_as_the_import) as pool:
        list(pool.map(hash_many, range(threads)))
    return threads * PURE_HASHES / (time.perf_counter() - started)


def _yield_as_the_import() -> None:
    niceness = min(NICENESS + NICENESS_STEP, MAX_NICENESS)
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


def hash_cpu_ms() -> float:
    """CPU milliseconds of one argon2id with our cost, in this process alone."""
    started = time.process_time()
    for _ in range(HASHES_ALONE):
        hash_secret_raw(b"x" * 32, b"0123456789abcdef", 2, 19_456, 1, 32, Type.ID)
    return (time.process_time() - started) * 1000 / HASHES_ALONE


def cpu_of_children() -> float:
    """CPU seconds of all commands that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@dataclass(frozen=True)
class Import:
    """The command with its environment and its file."""

    environ: dict[str, str]
    file: Path

    async def start(self) -> asyncio.subprocess.Process:
        words = ("--rate", "1000000", "--by", "moving-check", "--reason", "measurement")
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "auth_service", "import", str(self.file), *words,
            env=self.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def run(self) -> str:
        process = await self.start()
        output, _ = await process.communicate()
        must(process.returncode == 0, output.decode())
        return output.decode()

    def write(self, first: int, count: int) -> None:
        self.file.write_text("\n".join(map(user_line, range(first, first + count))) + "\n")


async def measure_rate(run: Import, users: int, threads: int, min_share: float) -> float:
    """Import users and compare the rate with the pure one, as the mean of before and after. Returns the seconds."""
    run.write(1, users)
    before = pure_rate(threads)
    started, cpu = time.perf_counter(), cpu_of_children()
    await run.run()
    seconds, cpu_ms = time.perf_counter() - started, (cpu_of_children() - cpu) * 1000 / users
    pure, rate = (before + pure_rate(threads)) / 2, users / seconds
    say(f"{users} users in {seconds:.1f} s: {rate:.1f} a second, with {threads} threads")
    say(f"pure argon2id: {pure:.1f} a second before and after; share {rate / pure:.1%}")
    say(f"CPU of the command for a user: {cpu_ms:.1f} ms; of argon2id alone {hash_cpu_ms():.1f} ms")
    started = time.perf_counter()
    await run.run()
    say(f"the same file again: {users / (time.perf_counter() - started):.0f} lines a second")
    must(rate >= min_share * pure, f"less than {min_share:.0%} of the pure rate")
    return seconds


@dataclass(frozen=True)
class Kills:
    """How often to kill the command, each time after ``longest`` seconds at most. The seed repeats the moments."""

    count: int
    longest: float
    seed: int


async def kill_at_random(run: Import, connection: asyncpg.Connection, users: int, kills: Kills) -> None:
    """Import other users, and kill the command again and again, up to the last kill or the end of the file."""
    moments, killed = random.Random(kills.seed), 0
    before = await connection.fetchval("select count(*) from accounts")
    run.write(before + 1, users)
    while killed < kills.count:
        process = await run.start()
        try:
            async with asyncio.timeout(moments.uniform(0, kills.longest)):
                await process.wait()
        except TimeoutError:
            process.kill()
            killed += 1
        await process.wait()
        if process.returncode == 0:
            break
    await run.run()
    accounts, phones, marks, entries, events, subjects = await connection.fetchrow(COUNTS)
    say(
        f"killed {killed} times (seed {kills.seed}): {accounts - before} of {users} users, {events - subjects} events twice"
    )
    expected = before + users
    must({accounts, phones, marks, entries, events, subjects} == {expected}, "users are missing, or are there twice")
    must(await connection.fetchval(DIGESTS) == 0, "a digest is at rest that is not argon2id")


async def measure_duplicates(run: Import, lines: int) -> None:
    """Import one user again and again: once is enough, and many lines need no more memory than few."""
    user = json.loads(user_line(DUPLICATE))
    few = await import_duplicates(run.environ, user, FEW_LINES)
    many = await import_duplicates(run.environ, user, lines)
    must(f"{lines} were imported before" in many.output, many.output)
    say(
        f"{lines} lines of one user in {many.seconds:.0f} s: {lines / many.seconds:.0f} a second, "
        f"{many.peak_mib:.0f} MiB; {FEW_LINES} lines: {few.peak_mib:.0f} MiB"
    )
    must(many.peak_mib < few.peak_mib + MAX_MORE_MIB, "the memory grows with the lines")


async def median_refusals(app: App, numbers: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The median seconds of a wrong password of each kind of number, which take turns in random order."""
    times: dict[str, list[float]] = {kind: [] for kind in numbers}
    for place in range(len(next(iter(numbers.values())))):
        for kind in random.sample(list(numbers), len(numbers)):
            tel = {"dialCode": 86, "number": int(numbers[kind][place])}
            started = time.perf_counter()
            reply = await app.call("POST", "/users/signin", json={"tel": tel, "password": "a wrong one"})
            times[kind].append(time.perf_counter() - started)
            must(reply.status == 403, reply.body)
    return {kind: statistics.median(seconds) for kind, seconds in times.items()}


async def compare_refusals(stack: Stack, run: Import, samples: int, *, hold: str) -> None:
    """Compare the refusals of imported users with those of numbers without an account."""
    label, password = ("bcrypt", {"format": "bcrypt", "digest": BCRYPT}) if float(hold) else ("ucenter", None)
    numbers = {kind: [f"{prefix}{n:08d}" for n in range(samples)] for kind, prefix in ((label, 136), ("none", 137))}
    first = 10**9 if password else 1
    if password:
        users = [{"id": first + n, "phone": phone, "password": password} for n, phone in enumerate(numbers[label])]
        run.file.write_text("\n".join(map(json.dumps, users)))
        await run.run()
    else:
        numbers[label] = [f"139{n:08d}" for n in range(1, samples + 1)]
    auth = stack.launch("auth-service", label=f"auth-{label}", env={"PASSWORD_REFUSAL_SECONDS": hold})
    gateway = stack.launch("gateway", label=f"gateway-{label}", env={"AUTH_URL": auth.url})
    async with App.connect(gateway.url, stack.url("sms-service")) as app:
        await median_refusals(app, {"none": numbers["none"][:WARM_UP]})
        medians = await median_refusals(app, numbers)
    imported, unknown = medians[label], medians["none"]
    say(
        f"a wrong password, {samples} of each: {label} {imported * 1e3:.1f} ms, no account {unknown * 1e3:.1f} ms (hold {hold} s)"
    )
    must(abs(imported - unknown) <= MAX_DIFFERENCE * unknown, "the time of a refusal tells who was imported")
    for service in (gateway, auth):
        service.stop()


async def main_async(options: argparse.Namespace) -> None:
    with Stack.private(environ={"LOG_LEVEL": "error"}) as stack:
        stack.start_servers(then=stack.migrate)
        threads = len(os.sched_getaffinity(0))
        environ = stack.environ_of("auth-service") | {
            "PASSWORD_HASH_THREADS": str(threads),
            "PASSWORD_REFUSAL_SECONDS": LONGEST_HOLD,
        }
        run = Import(environ, stack.folder.path / "users.ndjson")
        connection = await asyncpg.connect(url_of(stack.addresses["POSTGRES_URL"], "auth"))
        say(machine())
        seconds = await measure_rate(run, options.users, threads, options.min_share)
        kills = Kills(options.kills, max(MIN_LONGEST, 2 * seconds / options.kills), options.seed)
        await kill_at_random(run, connection, options.users, kills)
        await connection.close()
        await measure_duplicates(run, options.duplicates)
        for hold in ("0", HOLD):
            await compare_refusals(stack, run, options.samples, hold=hold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000, help="users of each of the two imports")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--duplicates", type=int, default=1_000_000, help="lines of one user")
    parser.add_argument("--samples", type=int, default=300, help="wrong passwords of each kind of number")
    parser.add_argument("--min-share", type=float, default=MIN_SHARE, help="lower where other work runs")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    accept_interrupts()
    uvloop.run(main_async(parser.parse_args()))


if __name__ == "__main__":
    main()
