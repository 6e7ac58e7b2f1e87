"""The commands of auth-service by which users move in, in tests of the whole system."""

import asyncio
import subprocess
import sys
from pathlib import Path

from stack.system import Stack


async def import_users(system: Stack, file: Path) -> tuple[int | None, str]:
    """The exit status and the report of ``python -m auth_service import``, with the rights of the service."""
    return await auth_command(system, "import", str(file), PASSWORD_REFUSAL_SECONDS="1")


async def auth_command(system: Stack, *words: str, **more: str) -> tuple[int | None, str]:
    """The exit status and the output of an operator's command of auth-service."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth_service", *words, "--by", "ada", "--reason", "a test",
        env=system.environ_of("auth-service") | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,  # an import makes its session nicer
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode, output.decode()
