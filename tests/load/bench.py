"""``make bench``: starts the whole system and prints the cost of each operation.

For each operation: requests per second, p50 and p99 at the client, and CPU milliseconds per request (user and system),
read from ``/proc`` and added up over our processes: gateway, services and worker, without PostgreSQL, Valkey, RabbitMQ
and this client. One delivery worker is measured separately with a sender that answers at once. Nothing is asserted.
Compare ratios within one run: machines are shared and noisy.

With two or more cores, our processes run on the first core, and the servers and this client on the others. A figure is
then the cost on one core, without the interference of other programs. ``--no-pin`` lets the kernel place processes, as
it always does for the last figure, the session check during log-ins.
"""

import argparse
import os
import time
from collections.abc import Sequence

import uvloop
from load.baselines import argon2_ms, bare_aiohttp, raw_match
from load.delivery import deliver
from load.log_ins import log_in_lines, measure_log_ins
from load.native import native_operations
from load.operations import HIT_SHARE, REGISTERED, Bench, all_operations, say, seed_directory, storm
from load.processes import ALL_CORES, machine, pin, resident_mib
from load.results import Result, percentile
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App


async def run(stack: Stack, scale: float, count: int, *, pinned: bool) -> None:
    say("starting servers and services")
    stack.start_servers(then=stack.migrate)
    members = await seed_directory(stack, count)
    ready_after = {}
    for name in ("auth-service", "sms-service", "contacts-service", "sms-worker", "gateway"):
        before = time.perf_counter()
        service = stack.launch(name)
        ready_after[name] = time.perf_counter() - before
        if pinned:
            pin(service.pid, {0})
    async with App.connect(stack.url("gateway"), stack.url("sms-service")) as app:
        bench = Bench(stack, app, scale)
        await bench.quiet()
        idle = {name: resident_mib(pid) for name, pid in bench.pids.items()}
        idle_ms = await bench.idle_ms()
        bare = [await bare_aiohttp(bench, pinned=pinned)]
        first = await all_operations(bench, members)
        bare.append(await bare_aiohttp(bench, pinned=pinned))
        native = await native_operations(bench)
        bare.append(await bare_aiohttp(bench, pinned=pinned))
        matched, raw = await raw_match(bench, members)
        hash_ms = argon2_ms()
        log_in = next(row for row in first if row.name == "log in")
        turns = await measure_log_ins(bench, {0} if pinned else ALL_CORES)
        drained, waited = await deliver(bench, pinned=pinned)
        if pinned:  # as in production: the kernel places hashing on any core
            for pid in bench.pids.values():
                pin(pid, ALL_CORES)
        quiet, busy = await storm(bench)
    report(bare, (first, native), count)
    report_processes(idle, ready_after)
    share = log_in.hashing / sum(log_in.cpu.values())
    shares = ", ".join(f"{name} {spent:.1f}" for name, spent in idle_ms.items())
    print(
        f"\nIdle: {sum(idle_ms.values()):.1f} ms CPU a second ({shares}). A row includes what passes while it is measured."
    )
    print(f"argon2id: {share:.0%} of the CPU of a log-in, in the hashing threads; {hash_ms:.1f} ms for a hash alone.")
    print(log_in_lines(turns))
    match_p50, raw_p50 = percentile(matched.times, 50), percentile(raw.times, 50)
    print(
        f"Match of 1,000, one client: p50 {match_p50:.2f} ms, {match_p50 / raw_p50:.2f} x of one statement's {raw_p50:.2f} ms."
    )
    quiet_p99, busy_p99 = percentile(quiet.times, 99), percentile(busy.times, 99)
    print(f"One worker, instant sender: {drained.line()}; {waited.line()}.")
    ratio = busy_p99 / quiet_p99
    print(f"Session check p99: quiet {quiet_p99:.2f} ms, during 16 log-ins {busy_p99:.2f} ms ({ratio:.1f} x).")


def report(bare: Sequence[Result], groups: Sequence[Sequence[Result]], members: int) -> None:
    """Print each group with a bare response before and after it. A multiple is one of the mean of these two."""
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}; {members:,} registered, {HIT_SHARE:.0%} hits\n")
    print("| operation | requests | a second | p50 ms | p99 ms | CPU ms a request | x bare aiohttp | of which |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for before, after, rows in zip(bare[:-1], bare[1:], groups, strict=True):
        mean_ms = (before.cpu_ms + after.cpu_ms) / 2
        for row in (before, *rows, after):
            print(row.row(mean_ms))


def report_processes(idle: dict[str, float], ready_after: dict[str, float]) -> None:
    """Print what each process holds and how long it takes to start."""
    print("\n| process | idle MiB | ready after s |\n| --- | ---: | ---: |")
    for name, mib in idle.items():
        print(f"| {name} | {mib:.0f} | {ready_after[name]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of requests (default 1)")
    parser.add_argument("--members", type=int, default=REGISTERED, help="members in the directory (default 100,000)")
    parser.add_argument("--no-pin", action="store_true", help="let the kernel place processes")
    options = parser.parse_args()
    accept_interrupts()
    cores = os.sched_getaffinity(0)
    pinned = len(cores) > 1 and not options.no_pin
    if pinned:
        os.sched_setaffinity(0, cores - {0})  # inherited by the servers started below
    environ = {
        "CALLER_LIMITS": "off",
        "ENVIRONMENT": "development",
        "CONTACTS_BUDGET": "100000",
        "DIRECTORY_CHECK_SECONDS": "0",  # the directory has members without accounts
        "LOG_LEVEL": "info",
    }
    with Stack.private(environ=environ, notify=say) as stack:
        uvloop.run(run(stack, options.scale, options.members, pinned=pinned))


if __name__ == "__main__":
    main()
