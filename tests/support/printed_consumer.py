"""The consumers that docs/events.md prints, as processes that can be made to fail."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text()
QUEUE, DEAD = "my-service.users", "my-service.dead"

# Each wraps ``keep`` of the page: it fails as often as FAILURES says, appends what was kept to the file KEPT, and kills
# its process at that many events if DIE_AT says so. Its pauses are short, unless a test wants those of the page.
PYTHON = """
failures, kept, die_at = int(os.environ["FAILURES"]), 0, int(os.environ["DIE_AT"])
def keep(event):
    global failures, kept
    if failures:
        failures -= 1
        raise ConnectionError("my database is away")
    keep_in_memory(event)
    with open(os.environ["KEPT"], "a") as file:
        file.write(json.dumps({event["subject"]: users[event["subject"]]}) + "\\n")
    kept += 1
    if kept == die_at:
        os.kill(os.getpid(), 9)
asyncio.run(main())
"""
NODE = """
import { appendFileSync } from "node:fs";
let failures = Number(process.env.FAILURES), kept = 0;
async function keep(event) {
  if (failures) {
    failures -= 1;
    throw new Error("my database is away");
  }
  await keepInMemory(event);
  appendFileSync(process.env.KEPT, JSON.stringify({ [event.subject]: users.get(event.subject) }) + "\\n");
  kept += 1;
  if (kept === Number(process.env.DIE_AT)) process.kill(process.pid, "SIGKILL");
}
"""


def printed(language: str) -> str:
    """The program on the page in this language."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


def harnessed(language: str, *, is_hurried: bool) -> str:
    """The printed program with a ``keep`` that can fail, and with short pauses if it is hurried."""
    program = printed(language)
    if is_hurried:
        program = program.replace("sleep(1)", "sleep(0.05)").replace("sleep(1000)", "sleep(50)")
    if language == "python":
        return program.replace("def keep(", "def keep_in_memory(") + PYTHON
    return NODE + program.replace("function keep(", "function keepInMemory(")


@dataclass
class PrintedConsumer:
    """One of the two programs. What it keeps survives it, as in a table."""

    language: str
    folder: Path
    amqp_url: str
    is_hurried: bool = True

    def kept(self) -> dict[str, Any]:
        """The users of all runs so far, by id."""
        file = self.folder / "kept"
        lines = file.read_text().splitlines() if file.exists() else []
        return {subject: user for line in lines for subject, user in json.loads(line).items()}

    @asynccontextmanager
    async def running(self, *, failures: int = 0, die_at: int = 0) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the program. It fails this often first, and kills itself at the event of this number."""
        program = self.folder / ("consumer.py" if self.language == "python" else "consumer.mjs")
        program.write_text(harnessed(self.language, is_hurried=self.is_hurried))
        interpreter = sys.executable if self.language == "python" else "node"
        environ = {"AMQP_URL": self.amqp_url, "KEPT": str(self.folder / "kept"), "FAILURES": str(failures)}
        process = await asyncio.create_subprocess_exec(
            interpreter, str(program), env=os.environ | environ | {"DIE_AT": str(die_at)}, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
