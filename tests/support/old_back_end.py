"""The sample of ``docs/moving-in.md`` as the back end that an app had before: its own process, with users of its own."""

import os
import re
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.ports import free_port

from support.patience import MAX_SECONDS

PAGE = Path(__file__).parents[2] / "docs" / "moving-in.md"
SAMPLE = re.compile(r"^```python\n(.+?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class OldBackEnd:
    """``environment`` lets auth-service ask it. ``log`` has a line for each question that it answered."""

    folder: Path
    port: int
    secret: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        return {"USER_SOURCE_URL": f"http://127.0.0.1:{self.port}/users", "USER_SOURCE_SECRET": self.secret}

    def add(self, user_id: int, number: str, name: str, digest: str, salt: str) -> None:
        with sqlite3.connect(self.folder / "old.db") as database:
            database.execute("insert into users values (?, ?, ?, ?, ?)", (user_id, f"+86{number}", name, digest, salt))

    @property
    def statuses(self) -> list[str]:
        """The status of each answer so far, oldest first."""
        return re.findall(r'HTTP/1\.1" (\d{3}) ', (self.folder / "log").read_text())

    def start(self) -> None:
        environ = {**os.environ, "USER_SOURCE_SECRET": self.secret, "PORT": str(self.port)}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "old_side.py"], cwd=self.folder, env=environ, stdout=log, stderr=log
            )
        ends_at = time.monotonic() + MAX_SECONDS
        while not self._accepts():
            assert time.monotonic() < ends_at, (self.folder / "log").read_text()
            time.sleep(0.05)

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


@contextmanager
def old_back_end(folder: Path) -> Iterator[OldBackEnd]:
    """The sample of the page, which runs until the block ends."""
    (sample,) = (code for code in SAMPLE.findall(PAGE.read_text()) if "make_server" in code)
    (folder / "old_side.py").write_text(sample)
    with sqlite3.connect(folder / "old.db") as database:
        database.execute("create table users (id integer, phone text, name text, digest text, salt text)")
    back_end = OldBackEnd(folder, free_port(), secrets.token_hex(32))
    back_end.start()
    try:
        yield back_end
    finally:
        back_end.stop()
