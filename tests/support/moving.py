"""The commands of auth-service by which users move in, in tests of the whole system."""

from pathlib import Path

from stack.system import Stack

from support.commands import run_command


async def import_users(system: Stack, file: Path) -> tuple[int | None, str]:
    """The exit status and the report of ``python -m auth_service import``, with the rights of the service."""
    return await auth_command(system, "import", str(file), PASSWORD_REFUSAL_SECONDS="1")


async def auth_command(system: Stack, *words: str, **more: str) -> tuple[int | None, str]:
    """The exit status and the output of an operator's command of auth-service."""
    operator = ("--by", "ada", "--reason", "a test")
    ended = await run_command("auth_service", *words, *operator, environ=system.environ_of("auth-service") | more)
    return ended.status, ended.output + ended.errors
