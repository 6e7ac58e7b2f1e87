"""``make rolling-check``: every process restarts in turn, again and again, under load, and no request may fail.

Two replicas of each process, those of a service behind one address, a client's calls of every kind, and PostgreSQL, Valkey and RabbitMQ of its own. After half
of the rounds the schemas get a revision of the next release, so that this release also starts on a newer schema.
Exits with 1 if a call failed. ``ROUNDS`` says how often every process restarts (default 20).
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from rolling import replicas
from rolling.clients import Clients
from rolling.load_balancer import LoadBalancer
from stack.services import MIGRATED_MODULES
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App

ENVIRON = {"CALLER_LIMITS": "off", "ENVIRONMENT": "development", "LOG_LEVEL": "info"}


async def roll(stack: Stack, rounds: int, pause_seconds: float = 0.0) -> Clients:
    """Restart everything ``rounds`` times under load. Returns the clients with what they counted.

    ``pause_seconds``: how long a client rests after each call.
    """
    found = await asyncio.to_thread(replicas.start, stack)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            replicas.reachable(found),
            LoadBalancer.open(found.gateways) as balancer,
            App.connect(found.gateways[0], found.inbox) as inbox,
        ):
            clients = Clients(balancer, inbox, pause_seconds)
            async with clients.running():
                for done in range(rounds):
                    if done == rounds // 2:
                        await replicas.migrate_ahead(stack, MIGRATED_MODULES, Path(folder))
                    await one_round(found, clients, done + 1)
    return clients


async def one_round(found: replicas.Replicas, clients: Clients, number: int) -> None:
    started = time.monotonic()
    for service in found.in_turn():
        before = len(clients.failed)
        await replicas.restart(service)
        for failure in clients.failed[before:]:
            say(f"failed while {service.name} restarted: {failure}")
    say(
        f"round {number}: {time.monotonic() - started:.0f} s, {clients.served.total()} calls, {len(clients.failed)} failed"
    )


def report(clients: Clients, rounds: int) -> None:
    print("| call | served |\n| --- | ---: |")
    for kind, count in sorted(clients.served.items()):
        print(f"| {kind} | {count:,} |")
    restarts = rounds * 2 * len(replicas.KINDS)
    print(f"\n{rounds} rolling restarts ({restarts} of processes): {len(clients.failed)} of "
          f"{clients.served.total() + len(clients.failed):,} calls failed.")  # fmt: skip


def say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=os.environ.get("ROUNDS") or "20", help="default: ROUNDS, or 20")
    options = parser.parse_args()
    accept_interrupts()
    with Stack.private(environ=ENVIRON, notify=say) as stack:
        stack.start_servers(then=stack.migrate)
        clients = asyncio.run(roll(stack, options.rounds))
    report(clients, options.rounds)
    return 1 if clients.failed else 0


if __name__ == "__main__":
    sys.exit(main())
