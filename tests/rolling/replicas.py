"""Two replicas of every process, and one restart after another.

The replicas of a service share a name and a port, as in Compose and Kubernetes: ``localhost`` is 127.0.0.1 and ::1.
"""

import asyncio
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack import ports
from stack.services import Service
from stack.system import Stack

HOSTS = ("127.0.0.1", "::1")
BEHIND_A_NAME = {"auth-service": "AUTH_URL", "sms-service": "SMS_URL", "contacts-service": "CONTACTS_URL"}
KINDS = (*BEHIND_A_NAME, "sms-worker", "gateway")
"""In the order of a new release (docs/operations/containers.md)."""

EXPAND = '''
"""A revision of the next release: code that does not know it must go on with it."""

from alembic import op

revision = "0002"
down_revision = "0001"
works_from = "0001"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("set lock_timeout = 0")
        op.execute("create index concurrently if not exists outbox_by_age on outbox (created_at)")
    op.execute("set local lock_timeout = '2s'")
    op.execute("alter table outbox add column note text not null default ''")
'''
MIGRATE = "import sys; from shared.migrations.upgrade import migrate; migrate(*sys.argv[1:])"


@dataclass(frozen=True)
class Replicas:
    """The running replicas, by kind, and the inbox that stays."""

    stack: Stack
    by_kind: dict[str, list[Service]]
    inbox: str

    @property
    def gateways(self) -> list[str]:
        return [service.url for service in self.by_kind["gateway"]]

    def in_turn(self) -> Iterator[Service]:
        """Every process, one after the other."""
        for kind in KINDS:
            yield from self.by_kind[kind]


def has_two_addresses() -> bool:
    """Whether ``localhost`` is both of ``HOSTS``, and a server can listen on both."""
    found = {address[0] for *_, address in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    return found >= set(HOSTS)


def start(stack: Stack) -> Replicas:
    """Start two of everything on the servers of a stack, which run."""
    inbox = stack.launch("sms-service", label="inbox")
    shared = {"INBOX_URL": inbox.url}
    by_kind = {}
    for kind, variable in BEHIND_A_NAME.items():
        port = ports.free_port()
        shared[variable] = f"http://localhost:{port}"
        by_kind[kind] = [
            stack.launch(kind, label=f"{kind}-{number}", port=port, host=host, env=shared)
            for number, host in enumerate(HOSTS)
        ]
    for kind in ("sms-worker", "gateway"):
        by_kind[kind] = [stack.launch(kind, label=f"{kind}-{number}", env=shared) for number in range(2)]
    return Replicas(stack, by_kind, inbox.url)


async def restart(service: Service) -> None:
    """Let a replica finish what it has accepted, and start it again on its port."""
    status = await asyncio.to_thread(service.stop)
    if status != 0:
        raise RuntimeError(f"{service.name} did not end by itself: {service.exit_report()}")
    await asyncio.to_thread(service.start)


async def migrate_ahead(stack: Stack, packages: Sequence[str], folder: Path) -> None:
    """Apply a revision of the next release to each database, while this release runs."""
    for package in packages:
        copy = _next_release(package, folder)
        database = package.partition("_")[0]
        url = stack.environ_of(f"{package.replace('_', '-')}-migrate")["POSTGRES_URL"]
        command: Any = (sys.executable, "-c", MIGRATE, url, database, copy)
        process = await asyncio.create_subprocess_exec(*command, cwd=folder)
        if await process.wait() != 0:
            raise RuntimeError(f"{package}: the next release could not migrate")


def _next_release(package: str, folder: Path) -> str:
    """Copy the migrations of a service with one more revision. Returns the name of the copy."""
    import importlib.util
    import shutil

    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    copy = folder / f"next_{package}"
    shutil.copytree(Path(spec.origin).parent / "migrations", copy / "migrations")
    (copy / "__init__.py").touch()
    (copy / "migrations" / "versions" / "0002_next.py").write_text(EXPAND)
    return copy.name
