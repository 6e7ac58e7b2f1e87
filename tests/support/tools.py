"""Tools that tests install when they first need them, pinned and verified: packages of npm and of groups."""

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / ".local"
MANIFESTS = ROOT / "tests" / "node"
INSTALL_SECONDS = 300


@cache
def node_modules() -> Path:
    """The folder with the packages of ``tests/node/package-lock.json``. Skips the test if they cannot be installed."""
    need("node", "npm")
    lock = (MANIFESTS / "package-lock.json").read_bytes()
    folder = LOCAL / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    with alone(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            folder.mkdir(exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(MANIFESTS / name, folder)
            install("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", folder=folder)
            (folder / "complete").touch()
    return folder / "node_modules"


def node_package(name: str) -> str:
    """The version of an npm package that the tests use."""
    return str(json.loads((MANIFESTS / "package.json").read_text())["dependencies"][name])


@cache
def client_generators() -> None:
    """Install the Python packages of ``deploy/requirements/clients.txt``. Skips the test if that fails."""
    with alone(LOCAL / "clients.lock"):
        install("make", "--silent", ".venv/.clients")


@cache
def manifest_tools() -> Path:
    """The folder with ``kubectl`` and the tools of ``deploy/requirements/manifests.txt``. Skips the test without them."""
    with alone(LOCAL / "manifests.lock"):
        install("make", "--silent", ".venv/.manifests")
    return ROOT / ".venv" / "bin"


def need(*programs: str) -> None:
    """Skip the test on a machine without one of these programs."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"this machine has no {missing[0]}")


def install(*command: str, folder: Path = ROOT) -> None:
    """Run a command that needs a package registry. Skip the test if there is none."""
    try:
        subprocess.run(command, cwd=folder, capture_output=True, timeout=INSTALL_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"`{' '.join(command[:3])}` failed: {error.stderr.decode(errors='replace')[-200:]}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"`{' '.join(command[:3])}` took longer than {INSTALL_SECONDS} s")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a file's lock, which makes other test processes wait for this installation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
