"""Compilers for the samples, from npm and PyPI, installed once into .local. Without them, tests are skipped with the reason."""

import asyncio
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LOCAL = Path(__file__).parents[3] / ".local" / "quickstarts"
KOTLIN = LOCAL / "kotlin"
INSTALL_SECONDS = 300
QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options for a JVM that lives for seconds: they halve what the compiler takes."""


@cache
def node_modules() -> Path:
    """The packages of package-lock.json."""
    need("node", "npm")
    lock, installed = HERE / "package-lock.json", LOCAL / "package-lock.json"
    if not (LOCAL / "node_modules").is_dir() or installed.read_bytes() != lock.read_bytes():
        LOCAL.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, LOCAL)
        install("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(LOCAL))
    return LOCAL / "node_modules"


@cache
def kotlin_jars() -> str:
    """A class path with the Kotlin compiler, coroutines and serialization: the Jupyter kernel of Kotlin contains them."""
    need("java")
    if not KOTLIN.is_dir():
        requirements = ["--require-hashes", "--no-deps", "-r", str(HERE / "kotlin.txt")]
        install(sys.executable, "-m", "pip", "install", "--quiet", *requirements, "--target", str(KOTLIN))
    return ":".join(str(jar) for jar in sorted(KOTLIN.rglob("*.jar")))


async def compile_kotlin(folder: Path, *files: str) -> str:
    """Compile files into ``folder/classes``. Returns the messages of the compiler."""
    jars = kotlin_jars()
    compiler = (*QUICK_START, "-cp", jars, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler")
    return await run(folder, "java", *compiler, "-no-stdlib", "-no-reflect", "-cp", jars, "-d", "classes", *files)


async def run(folder: Path, *command: str) -> str:
    """Run a command. Returns what it prints, to both streams."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode()


def need(*programs: str) -> None:
    """Skip the test on a machine without one of these programs."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"this machine has no {missing[0]}")


def install(*command: str) -> None:
    """Run a command that needs a package registry. Skip the test if there is none."""
    done = subprocess.run(command, capture_output=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode:
        pytest.skip(f"`{' '.join(command[:4])}` failed: {done.stderr.decode()[-200:]}")
