"""``make bench``: starts the whole system and prints what each operation costs.

Per operation: requests a second, p50 and p99 as the client sees them, and user and system CPU milliseconds per request
summed over all processes of ours (gateway, services, worker; not PostgreSQL, Valkey, RabbitMQ, nor this client), from
``/proc``. One delivery worker is measured apart, with a sender that answers at once. Nothing is asserted. Compare ratios
within one run: machines are shared and noisy.

With two cores or more our processes run on the first one, and the servers and this client on the others, so that a
figure is "one core of ours" and not what two programs on one core cost each other. ``--no-pin`` lets the kernel choose,
as it always does for the last figure, the session check while log-ins run.
"""

import argparse
import os
import time
from collections.abc import Sequence

import uvloop
from load.baselines import argon2_ms, bare_aiohttp
from load.delivery import deliver
from load.operations import HIT_SHARE, REGISTERED, Bench, all_operations, say, seed_directory, storm
from load.processes import ALL_CORES, machine, pin, resident_mib
from load.results import Result, percentile
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App


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
        drained, waited = await deliver(bench, pinned=pinned)
        if pinned:  # what an operator sees: the kernel places hashing where there is room
            for pid in bench.pids.values():
                pin(pid, ALL_CORES)
        quiet, busy = await storm(bench)
    report(rows, idle, began)
    share = log_in.hashing / sum(log_in.cpu.values())
    print(
        f"\nargon2id: {share:.0%} of a log-in's CPU, by the threads that do nothing else; alone {hash_ms:.1f} ms a hash."
    )
    calm, wild = percentile(quiet.times, 99), percentile(busy.times, 99)
    print(f"One worker, instant sender: {drained.line()}; {waited.line()}.")
    print(f"Session check p99: quiet {calm:.2f} ms, while 16 log-ins run {wild:.2f} ms ({wild / calm:.1f} x).")


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
    accept_interrupts()
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
