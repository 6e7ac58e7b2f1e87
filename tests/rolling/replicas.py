"""Two replicas of every process, those of a service behind one address, and one restart after another."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolling.virtual_address import VirtualAddress
from stack import ports
from stack.services import Service
from stack.system import Stack

BEHIND_AN_ADDRESS = {"auth-service": "AUTH_URL", "sms-service": "SMS_URL", "contacts-service": "CONTACTS_URL"}
KINDS = (*BEHIND_AN_ADDRESS, "sms-worker", "gateway")
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
    """The running replicas, by kind, the port of each service's address, and the inbox that stays."""

    stack: Stack
    by_kind: dict[str, list[Service]]
    addresses: dict[str, int]
    inbox: str

    @property
    def gateways(self) -> list[str]:
        return [service.url for service in self.by_kind["gateway"]]

    def in_turn(self) -> Iterator[Service]:
        """Every process, one after the other."""
        for kind in KINDS:
            yield from self.by_kind[kind]


def start(stack: Stack) -> Replicas:
    """Start two of everything on the servers of a stack, which run. Calls go to ``Replicas.addresses``."""
    inbox = stack.launch("sms-service", label="inbox", wait=False)
    addresses = {kind: ports.free_port() for kind in BEHIND_AN_ADDRESS}
    shared = {BEHIND_AN_ADDRESS[kind]: f"http://{ports.HOST}:{port}" for kind, port in addresses.items()}
    shared["INBOX_URL"] = inbox.url
    by_kind = {kind: [_launch(stack, f"{kind}-{number}", kind, shared) for number in (1, 2)] for kind in KINDS}
    for service in stack.services.values():
        service.wait_ready()
    return Replicas(stack, by_kind, addresses, inbox.url)


def _launch(stack: Stack, label: str, kind: str, env: Mapping[str, str]) -> Service:
    return stack.launch(kind, label=label, env=env, wait=False)


@asynccontextmanager
async def reachable(found: Replicas) -> AsyncIterator[None]:
    """Serve the addresses of the services until the block ends."""
    async with AsyncExitStack() as stack:
        for kind, port in found.addresses.items():
            await stack.enter_async_context(VirtualAddress(found.by_kind[kind]).listening(port))
        yield


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
