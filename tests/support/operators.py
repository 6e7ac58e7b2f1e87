"""An operator API with two named operators of its own, and what they ask."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from stack.system import Stack

from gateway.named_operators import Role, generate
from support.commands import run_command


@dataclass(frozen=True)
class OperatorApi:
    """Where it is, and the keys of ada, an operator, and sam of the support."""

    url: str
    keys: dict[str, str]
    environ: dict[str, str]

    async def ask(self, name: str, call: str, body: Any, http: aiohttp.ClientSession) -> tuple[int, str]:
        """The status and all text of a response, its headers included."""
        headers = {"Authorization": f"Bearer {self.keys.get(name, name)}"}
        async with http.post(f"{self.url}/v1/{call}", json=body, headers=headers) as response:
            return response.status, f"{response.headers}\n{await response.text()}"

    async def operate(self, name: str, *words: str) -> tuple[int | None, Any, str]:
        """``python -m gateway operate``: its exit status, its output as JSON, and its errors."""
        environ = self.environ | {"OPERATOR_URL": self.url, "OPERATOR_KEY": self.keys[name]}
        ended = await run_command("gateway", "operate", *words, environ=environ)
        return ended.status, json.loads(ended.output) if ended.output else None, ended.errors


@contextmanager
def operator_api(stack: Stack) -> Iterator[OperatorApi]:
    """One more operator API of a running stack."""
    made = {name: generate(name, role) for name, role in (("ada", Role.OPERATOR), ("sam", Role.SUPPORT))}
    file = stack.folder.path / "test-operators.toml"
    file.write_text("".join(entry for _, entry in made.values()))
    service = stack.launch("operator-api", label="operator-api-2", env={"OPERATORS_FILE": str(file)})
    try:
        yield OperatorApi(service.url, {name: key for name, (key, _) in made.items()}, stack.environ_of("operator-api"))
    finally:
        service.stop()
        del stack.services[service.name]
