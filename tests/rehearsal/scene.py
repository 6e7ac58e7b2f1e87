"""What the steps of a rehearsal share: the system, the files, and the commands of auth-service."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from rehearsal.old_base import OldBase
from stack.system import Stack

from shared.postgres import url_of

OPERATOR = ("--by", "rehearsal", "--reason", "the move, rehearsed")
SETTINGS = {"PASSWORD_REFUSAL_SECONDS": "1"}
"""Of the services and of the import: refusals are held for as long as any comparison may take."""
NEW_DATABASE = "auth_new"
"""The accounts of the other Haoma, into which the export goes."""


class RehearsalError(Exception):
    """A step did not end as it should."""


def must(condition: bool, detail: object) -> None:
    """Raise ``RehearsalError`` with the detail unless the condition holds."""
    if not condition:
        raise RehearsalError(detail)


@dataclass
class Scene:
    """The system that users move into, and the files between the systems."""

    stack: Stack
    base: OldBase
    folder: Path
    shows_progress: bool = True

    @property
    def users(self) -> Path:
        return self.folder / "users.ndjson"

    @property
    def known_passwords(self) -> Path:
        return self.folder / "known.ndjson"

    @property
    def exported(self) -> Path:
        return self.folder / "exported.ndjson"

    async def command(self, *words: str, database: str = "auth", statuses: tuple[int, ...] = (0,)) -> str:
        """The output of ``python -m auth_service``. Its progress goes to our standard error."""
        environ = self.stack.environ_of("auth-service") | SETTINGS | {"LOG_LEVEL": "error"} | self.database(database)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "auth_service", *words, *(() if words == ("migrate",) else OPERATOR),
            env=environ, stdout=subprocess.PIPE, stderr=None if self.shows_progress else subprocess.DEVNULL,
        )  # fmt: skip
        output, _ = await process.communicate()
        must(process.returncode in statuses, f"{words[0]} ended with {process.returncode}:\n{output.decode()}")
        return output.decode()

    def database(self, name: str) -> dict[str, str]:
        """The settings for a database of accounts. The services have roles on their own databases only."""
        postgres = {} if name == "auth" else {"POSTGRES_URL": self.stack.addresses["POSTGRES_URL"]}
        return {"AUTH_DATABASE": name} | postgres

    async def value(self, query: str, *, database: str = "auth") -> Any:
        """The value of a query in one of the databases."""
        connection = await asyncpg.connect(url_of(self.stack.addresses["POSTGRES_URL"], database))
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    def launch(self, name: str, label: str, env: Mapping[str, str]) -> str:
        """The address of one more process with the settings of the rehearsal."""
        return self.stack.launch(name, label=label, env=SETTINGS | dict(env)).url
