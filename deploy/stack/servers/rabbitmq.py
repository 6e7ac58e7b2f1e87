"""A private RabbitMQ from the system's package. Its own node, epmd and cookie keep it apart from other brokers."""

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from stack import ports
from stack.folder import Folder, StackError
from stack.packages import apt
from stack.process import Process
from stack.roles import files
from stack.roles.catalogue import OPERATOR
from stack.servers.private_server import NO_PASSWORDS, PLAIN, PrivateServer, Variation, minimal_environment

# The script of RabbitMQ itself. The wrapper in /usr/sbin insists on the account of the system's broker.
SCRIPTS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/lib64/rabbitmq/bin/rabbitmq-server",
    "/opt/rabbitmq/sbin/rabbitmq-server",
    "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
)
SETTINGS = """\
load_definitions = {home}/definitions.json
loopback_users = none
log.console.level = warning
disk_free_limit.absolute = 50MB
"""
COOKIE = ".erlang.cookie"

# Without busy waiting an idle broker leaves the cores to the services.
ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false +sbwt none +sbwtdcpu none +sbwtdio none"


class RabbitMQ(PrivateServer):
    """RabbitMQ in ``<folder>/rabbitmq``, with the roles of the services; its epmd lives as long as the stack.

    ``kill`` loses a quorum queue that is younger than a second: the broker writes it to disk with a delay.
    """

    name = "rabbitmq"
    variable = "AMQP_URL"

    def __init__(
        self,
        folder: Folder,
        password: str,
        port: int | None = None,
        *,
        role_passwords: Mapping[str, str] = NO_PASSWORDS,
        variation: Variation = PLAIN,
        notify: Callable[[str], None] = lambda _: None,
        neighbour: "RabbitMQ | None" = None,
    ) -> None:
        """``notify`` gets a line if RabbitMQ has to be installed first. The nodes of a cluster share one epmd.

        So every node but the first has the first as its ``neighbour``, which starts before it and closes after it.
        """
        super().__init__(folder, role_passwords, variation)
        self._notify = notify
        self.port = port or ports.free_port()
        self.url = self._url(OPERATOR, password)
        self._password = password
        self._neighbour = neighbour
        self.epmd_port: int = neighbour.epmd_port if neighbour else ports.free_port()
        self._initialized = self.home / "initialized"  # exists once the broker has responded: its data is complete
        env = self._environment(ports.free_port())
        self._epmd = Process(f"{self.name}-epmd", folder, (), env=env, cwd=self.home)
        self.process = Process(self.name, folder, (), env=env, cwd=self.home)

    @property
    def node(self) -> str:
        """The name of its Erlang node."""
        return "haoma@localhost" if self.name == RabbitMQ.name else f"{self.name}@localhost"

    def close(self) -> None:
        """Stop the broker and its epmd."""
        if not self._initialized.exists():
            self.process.kill()
        self.stop()
        self._epmd.stop(grace_seconds=1)

    def _prepare(self) -> None:
        if not is_installed() and apt.can_install():
            apt.install("rabbitmq-server", self._notify)
        self.process.command = (script(),)
        self._epmd.command = (epmd(), "-address", ports.HOST, "-port", str(self.epmd_port))
        self._write_settings()
        if self._neighbour is None:
            self._epmd.spawn()

    def _write_settings(self) -> None:
        if not self._initialized.exists():
            shutil.rmtree(self.home / "mnesia", ignore_errors=True)
        for name in ("mnesia", "schema", "logs"):
            (self.home / name).mkdir(exist_ok=True)
        more = "".join(f"{name} = {value}\n" for name, value in self.settings.items())
        self._write("rabbitmq.conf", SETTINGS.format(home=self.home) + more)
        passwords = {**self.passwords.by_variable, "AMQP_PASSWORD": self._password}
        files.fill("rabbitmq.json", self.home / "definitions.json", passwords)
        self._write("enabled_plugins", "[].\n")
        if not (self.home / COOKIE).exists():
            shared = self._neighbour and (self._neighbour.home / COOKIE).read_text()
            self._write(COOKIE, shared or secrets.token_hex(20))
            (self.home / COOKIE).chmod(0o400)

    def _started(self) -> None:
        self._initialized.touch()

    def _responds(self) -> bool:
        return ports.responds(self.port, b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00")

    def _url(self, user: str, password: str, _: str = "") -> str:
        return f"amqp://{user}:{password}@{ports.HOST}:{self.port}/%2F"

    def _write(self, name: str, text: str) -> None:
        (self.home / name).touch(mode=0o600)
        (self.home / name).write_text(text)

    def _environment(self, distribution_port: int) -> dict[str, str]:
        home = self.home
        own = {
            "HOME": str(home),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": ports.HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": ports.HOST,
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SCHEMA_DIR": str(home / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "schema"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(home / "mnesia" / "feature_flags"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
            "RUNNING_UNDER_SYSTEMD": "true",  # the script replaces itself with the broker instead of waiting
        }
        return {**minimal_environment(), **own}


def script() -> Path:
    """The broker's start script. Raises ``StackError`` if RabbitMQ is not installed."""
    found = next((path for path in SCRIPTS if os.access(path, os.X_OK)), None) or shutil.which("rabbitmq-server")
    if found is None:
        raise StackError(f"RabbitMQ is missing: {apt.install_command('rabbitmq-server')}, or set AMQP_URL")
    return Path(found)


def epmd() -> Path:
    """Erlang's port mapper, from ``PATH`` or beside the runtime. Raises ``StackError`` if it is missing."""
    found = shutil.which("epmd") or next(map(str, Path("/usr/lib/erlang").glob("erts-*/bin/epmd")), None)
    if found is None:
        raise StackError(f"Erlang's epmd is missing: {apt.install_command('erlang-base')}")
    return Path(found)


def is_installed() -> bool:
    try:
        return bool(script())
    except StackError:
        return False
