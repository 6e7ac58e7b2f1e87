"""The clients that generators make of the documents: they compile, and do all that a user of ``/v2`` does."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stack.system import Stack
from support.app import App, fresh_number
from support.database import Tables
from support.openapi import ALL, write_documents
from support.tools import client_generators, node_modules

SCENARIOS = Path(__file__).parent / "clients"
RUN_SECONDS = 280

pytestmark = pytest.mark.timeout(600)


def run(folder: Path, *command: str | Path, **environ: str) -> str:
    """Run a tool. Returns what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=folder, env=os.environ | environ, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_documents(tmp_path_factory.mktemp("documents"))


async def run_scenario(folder: Path, *command: str, system: Stack, app: App, tables: Tables, **environ: str) -> None:
    """Run a scenario, and answer its questions: ``code`` of the newest message to a number, ``age`` a number by a minute."""
    number, moved = fresh_number(), fresh_number()
    names = {"GATEWAY": system.url("gateway"), "NUMBER": number, "MOVED": moved}
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=os.environ | names | environ, **pipes)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    last_line = ""
    try:
        while line := (await process.stdout.readline()).decode().strip():
            question, _, about = line.partition(" ")
            last_line = line
            if question == "code":
                process.stdin.write((await app.code(about) + "\n").encode())
            elif question == "age":
                await tables.age(about, 61)
                process.stdin.write(b"done\n")
        errors = (await process.stderr.read()).decode()
        assert (await process.wait(), last_line) == (0, "the end"), errors
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture(scope="module")
def python_clients(documents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clients of two documents, as the packages ``haoma`` and ``haoma_all``, with the scenario beside them."""
    client_generators()
    folder = tmp_path_factory.mktemp("python")
    (folder / "config.yml").write_text("post_hooks: []\n")  # the generator's own formatting takes longer than all else
    for name, package in (("native", "haoma"), (ALL, "haoma_all")):
        generate = (Path(sys.executable).parent / "openapi-python-client", "generate", "--fail-on-warning")
        options = ("--meta", "none", "--output-path", folder / package, "--config", folder / "config.yml")
        run(folder, *generate, *options, "--path", documents[name])
    shutil.copy(SCENARIOS / "scenario.py", folder)
    return folder


def test_the_python_clients_have_correct_types(python_clients: Path) -> None:
    run(python_clients, sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=.mypy", ".")


def test_every_module_of_the_python_clients_can_be_imported(python_clients: Path) -> None:
    modules = [
        ".".join(path.relative_to(python_clients).with_suffix("").parts)
        for path in python_clients.glob("haoma*/**/*.py")
    ]
    assert len(modules) > 150
    run(python_clients, sys.executable, "-c", f"import {', '.join(sorted(modules))}")


async def test_the_python_client_does_all_that_a_user_does(
    python_clients: Path, system: Stack, app: App, tables: Tables
) -> None:
    await run_scenario(python_clients, sys.executable, "scenario.py", system=system, app=app, tables=tables)


@pytest.fixture(scope="module")
def typescript_client(documents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The types of two documents, with the scenario that is compiled against them. Compiling it is the test of the types."""
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "node_modules").symlink_to(node_modules())
    (folder / "package.json").write_text('{"type": "module"}')
    shutil.copytree(SCENARIOS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py"))
    tools = node_modules() / ".bin"
    for name in ("native", ALL):
        run(folder, tools / "openapi-typescript", documents[name], "--output", f"{name}.ts")
    run(folder, tools / "tsc", "--project", "tsconfig.json")
    return folder


async def test_the_typescript_client_does_all_that_a_user_does(
    typescript_client: Path, system: Stack, app: App, tables: Tables
) -> None:
    await run_scenario(typescript_client, "node", "built/scenario.js", system=system, app=app, tables=tables)
