"""A sample that runs in a process of its own and takes its steps from stdin."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

from support.quickstarts.scenario import RefusedError


class ProcessClient:
    """A ``Client`` whose storage is files in its folder."""

    def __init__(self, folder: Path, command: tuple[str, ...]) -> None:
        self._folder, self._command = folder, command
        self._process: asyncio.subprocess.Process | None = None

    async def do(self, step: str, argument: str = "") -> Any:
        process = self._process or await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"step": step, "argument": argument}).encode() + b"\n")
        line = await process.stdout.readline()
        assert line, f"{self._command[0]} ended at the step {step}"
        outcome = json.loads(line)
        if "refused" in outcome:
            raise RefusedError(outcome["refused"], outcome["retryAfter"])
        return outcome["result"]

    async def restart(self) -> None:
        await self.stop()
        await self._start()

    async def stop(self) -> None:
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.communicate()
            self._process = None

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(*self._command, cwd=self._folder, stdin=PIPE, stdout=PIPE)
        return self._process


@asynccontextmanager
async def running(folder: Path, *command: str) -> AsyncIterator[ProcessClient]:
    client = ProcessClient(folder, command)
    try:
        yield client
    finally:
        await client.stop()
