"""docs/guides/verify-a-token.md: its samples run as printed, with the versions that the page names."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from stack.system import Stack
from support.app import App, fresh_number
from support.tools import install, need, node_modules, node_package

from auth_service.tokens.access_tokens import AccessTokens
from shared.internal_api.public_keys import JwtAlgorithm
from shared.keys import KeyRing

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "verify-a-token.md").read_text()
RUN_SECONDS = 60
USER = 2**50
Command = list[str]


def sample(language: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


def pinned(package: str) -> str:
    """The version of a package that the page tells readers to install."""
    return re.findall(rf"{re.escape(package)}(?:==|@)(v?[0-9.]+[0-9])", PAGE)[0]


def python_sample(folder: Path) -> Command:
    assert version("pyjwt") == pinned("pyjwt[crypto]")
    (folder / "verify.py").write_text(sample("python"))
    return [sys.executable, "verify.py"]


def node_sample(folder: Path) -> Command:
    (folder / "node_modules").symlink_to(node_modules())
    assert node_package("jose") == pinned("jose")
    (folder / "verify.mjs").write_text(sample("js"))
    return ["node", "verify.mjs"]


def go_sample(folder: Path) -> Command:
    need("go")
    (folder / "main.go").write_text(sample("go"))
    modules = ("github.com/golang-jwt/jwt/v5", "github.com/MicahParks/keyfunc/v3")
    install("go", "mod", "init", "example.com/verify", folder=folder)
    install("go", "get", *(f"{module}@{pinned(module)}" for module in modules), folder=folder)
    install("go", "build", "-o", "verify", folder=folder)
    return ["./verify"]


@pytest.fixture(scope="module", params=[python_sample, node_sample, go_sample], ids=["python", "node", "go"])
def verifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, Path]:
    """The command that runs a sample, and the folder to run it in."""
    folder = tmp_path_factory.mktemp("sample")
    prepare: Callable[[Path], Command] = request.param
    return prepare(folder), folder


class Backend:
    """A backend that verifies tokens of the running system with a sample."""

    def __init__(self, system: Stack, command: Command, folder: Path) -> None:
        self.issuer = system.url("gateway")
        self._ring = KeyRing.parse(system.environ["JWT_KEYS"])
        self._command, self._folder = command, folder

    def user_of(self, token: str, **environ: str) -> int | None:
        """What the sample prints; None if it refuses the token."""
        keys = f"{self.issuer}/.well-known/jwks.json"
        settings = {"HAOMA_KEYS": keys, "HAOMA_ISSUER": self.issuer, "HAOMA_AUDIENCE": self.issuer, **environ}
        command, variables = [*self._command, token], {**os.environ, **settings}
        done = subprocess.run(
            command, cwd=self._folder, env=variables, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
        )
        assert done.returncode == 0 or done.stderr
        return int(done.stdout) if done.returncode == 0 else None

    def sign(self, *, minutes_ago: int = 0, ring: str = "", **options: Any) -> str:
        """A token as auth-service signs it."""
        keys = KeyRing.parse(ring) if ring else self._ring
        signer = AccessTokens(keys, **{"issuer": self.issuer, **options})
        return signer.sign(USER, uuid4(), now=datetime.now(UTC) - timedelta(minutes=minutes_ago))


@pytest.fixture
def backend(system: Stack, verifier: tuple[Command, Path]) -> Backend:
    return Backend(system, *verifier)


async def test_the_sample_accepts_a_token_of_the_running_system(app: App, backend: Backend) -> None:
    number = fresh_number()
    sent = await app.call("POST", "/v2/verifications", json={"phone": number, "purpose": "sign_up"})
    code = {"challenge": sent.body["challenge"], "code": await app.code(number)}
    ticket = (await app.call("POST", "/v2/verifications/check", json=code)).body["ticket"]
    user = (await app.call("POST", "/v2/accounts", json={"ticket": ticket})).body

    token = user["tokens"]["access_token"]

    assert backend.user_of(token) == user["account"]["user_id"]
    assert backend.user_of(token, HAOMA_AUDIENCE="another backend") is None
    assert backend.user_of(token, HAOMA_ISSUER="https://elsewhere.example.com") is None


@pytest.mark.parametrize("algorithm", JwtAlgorithm)
def test_the_sample_accepts_both_algorithms_and_refuses_bad_tokens(backend: Backend, algorithm: JwtAlgorithm) -> None:
    token = backend.sign(algorithm=algorithm)
    head, body, signature = token.split(".")
    bad = [
        backend.sign(algorithm=algorithm, minutes_ago=16),
        backend.sign(algorithm=algorithm, audience="another backend"),
        backend.sign(algorithm=algorithm, ring="9:" + "99" * 32),
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}.",
    ]

    assert backend.user_of(token) == USER
    assert [backend.user_of(each) for each in bad] == [None] * len(bad)
