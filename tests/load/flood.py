"""``python -m load.flood``: what a flood of log-ins costs other people.

Starts the whole system. Three addresses with accounts of their own keep 300 log-ins with right passwords in flight, from
a process of their own, and never wait as ``Retry-After`` asks. Meanwhile other people log in, one after the other, each
from another network. Prints how many of them succeed and how long that takes, on the quiet system and in the flood.
Nothing is asserted.
"""

import argparse
import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.synchronize import Event

import uvloop
from load.operations import PASSWORD, say
from load.processes import machine
from load.results import percentile
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App, fresh_address, fresh_number, md5

ADDRESSES = ("198.51.100.7", "203.0.113.7", "192.0.2.7")
IN_FLIGHT = 300
ACCOUNTS = 10
"""The accounts of each address in the flood."""
OTHERS = 20
"""The accounts of other people."""
RAMP_SECONDS = 2.0
END_SECONDS = 30


async def log_in(app: App, number: str, address: str) -> str:
    """How a log-in from this address ends: ``in``, or the status and the error code."""
    body = {"source": "test", "phone_number": number, "password": md5(PASSWORD)}
    reply = await app.call("POST", "/v1/user/login.json", json=body, headers={"X-Forwarded-For": address})
    return "in" if "token" in reply.body else f"{reply.status} {reply.body['error_code']}"


def flood(gateway: str, accounts: Sequence[str], stop: Event, printed: bool) -> None:
    """Keep the log-ins in flight until ``stop``, in a process of its own, and print how they end."""
    outcomes: Counter[str] = Counter()

    async def client(app: App, position: int) -> None:
        while not stop.is_set():
            number = accounts[position % len(accounts)]
            outcomes[await log_in(app, number, ADDRESSES[position % len(ADDRESSES)])] += 1

    async def run() -> None:
        async with App.connect(gateway, "") as app:
            await asyncio.gather(*(client(app, position) for position in range(IN_FLIGHT)))

    started = time.perf_counter()
    uvloop.run(run())
    if printed:
        seconds = time.perf_counter() - started
        print(f"The flood: {', '.join(f'{count / seconds:.0f}/s {how}' for how, count in outcomes.most_common())}.")


async def others(app: App, accounts: Sequence[str], count: int) -> tuple[Counter[str], list[float]]:
    """Log other people in, one after the other, each time from another network."""
    outcomes, times = Counter[str](), []
    for position in range(count):
        started = time.perf_counter()
        outcomes[await log_in(app, accounts[position % len(accounts)], fresh_address())] += 1
        times.append(time.perf_counter() - started)
    return outcomes, times


async def run(stack: Stack, count: int) -> None:
    async with App.connect(stack.url("gateway"), stack.url("sms-service"), spread=True) as app:
        say("registering")
        numbers = [fresh_number() for _ in range(len(ADDRESSES) * ACCOUNTS + OTHERS)]
        for number in numbers:
            await app.register(number, PASSWORD)
        attackers, people = numbers[OTHERS:], numbers[:OTHERS]
        say("quiet")
        quiet = await others(app, people, count)
        say("in the flood")
        stop = multiprocessing.Event()
        process = multiprocessing.Process(target=flood, args=(stack.url("gateway"), attackers, stop, True))
        process.start()
        try:
            await asyncio.sleep(RAMP_SECONDS)
            busy = await others(app, people, count)
        finally:
            stop.set()
            await asyncio.to_thread(process.join, END_SECONDS)
    for name, (outcomes, times) in (("quiet", quiet), ("flood", busy)):
        p50, p99 = percentile(times, 50), percentile(times, 99)
        print(f"| {name} | {outcomes['in']} of {count} | {p50:.0f} | {p99:.0f} | {dict(outcomes)} |")
    print(f"p50 x {percentile(busy[1], 50) / percentile(quiet[1], 50):.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="log-ins of other people (default 100)")
    parser.add_argument("--limits", choices=("on", "off"), default="on", help="CALLER_LIMITS (default on)")
    options = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    accept_interrupts()
    environ = {
        "CALLER_LIMITS": options.limits,
        "TRUSTED_PROXIES": "127.0.0.1",
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "info",
    }
    with Stack.private(environ=environ, notify=say) as stack:
        stack.start()
        print(
            f"\n{machine()}; limits {options.limits}\n\n| | others in | p50 ms | p99 ms | |\n| --- | --- | ---: | ---: | --- |"
        )
        uvloop.run(run(stack, options.count))


if __name__ == "__main__":
    main()
