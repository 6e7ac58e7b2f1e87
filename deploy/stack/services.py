"""Our own processes: their names, how each one starts, and when it is ready."""

import http.client
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack import ports
from stack.folder import ROOT, Folder
from stack.process import Process

STARTUP_TIMEOUT_SECONDS = 90.0  # a service itself waits 60 s for its servers
DRAIN_SECONDS = 25.0


@dataclass(frozen=True)
class Program:
    """One kind of process. ``url_variable`` is where the other processes find its address.

    One without a ``port_variable`` serves its monitoring port alone.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    port_variable: str | None
    default_port: int
    url_variable: str | None
    monitoring_variable: str

    @property
    def default_monitoring_port(self) -> int:
        """Where it serves health and metrics unless it is told otherwise."""
        return self.default_port + 1000


PROGRAMS = {
    program.name: program
    for program in (
        Program("gateway", "gateway", (), "GATEWAY_PORT", 8080, "GATEWAY_URL", "GATEWAY_MONITORING_PORT"),
        Program("auth-service", "auth_service", (), "AUTH_PORT", 8081, "AUTH_URL", "AUTH_MONITORING_PORT"),
        Program("sms-service", "sms_service", (), "SMS_PORT", 8082, "SMS_URL", "SMS_MONITORING_PORT"),
        Program(
            "contacts-service",
            "contacts_service",
            (),
            "CONTACTS_PORT",
            8083,
            "CONTACTS_URL",
            "CONTACTS_MONITORING_PORT",
        ),
        Program("sms-worker", "sms_service", ("worker",), None, 8084, None, "SMS_WORKER_MONITORING_PORT"),
    )
}
MIGRATED_MODULES = ("auth_service", "sms_service", "contacts_service")


class Service(Process):
    """One of our processes on its own ports."""

    def __init__(
        self,
        program: Program,
        folder: Folder,
        env: Mapping[str, str],
        label: str | None = None,
        *,
        port: int,
        monitoring_port: int,
    ) -> None:
        self.program = program
        self.port = port if program.port_variable else monitoring_port
        self.monitoring_port = monitoring_port
        self.url = f"http://{ports.HOST}:{self.port}"
        self.monitoring_url = f"http://{ports.HOST}:{monitoring_port}"
        own_ports = {program.monitoring_variable: str(monitoring_port)}
        if program.port_variable:
            own_ports[program.port_variable] = str(port)
        super().__init__(
            label or program.name,
            folder,
            (sys.executable, "-m", program.module, *program.arguments),
            env={**env, **own_ports},
            cwd=ROOT,
        )

    def start(self, seconds: float = STARTUP_TIMEOUT_SECONDS) -> None:
        """Start it, or start it again on the same port, and wait until it is ready."""
        self.spawn()
        self.wait_ready(seconds)

    def wait_ready(self, seconds: float = STARTUP_TIMEOUT_SECONDS) -> None:
        """Wait until it is ready. Raises ``StackError`` with its exit report if it ends instead."""
        late = f"{self.name} was not ready within {seconds:.0f} s, see {self.log_path}"
        self.folder.wait_until(self._has_started, seconds, late)

    @property
    def is_ready(self) -> bool:
        """Whether ``GET /readyz`` returns 200."""
        return self.status("/readyz") == 200

    def status(self, path: str) -> int | None:
        """The HTTP status of a GET of its monitoring port, ``None`` if the process does not respond."""
        connection = http.client.HTTPConnection(ports.HOST, self.monitoring_port)
        try:
            connection.sock = ports.connect(self.monitoring_port, 3)
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def stop(self, grace_seconds: float = DRAIN_SECONDS, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Let it drain and end; returns its exit status."""
        return super().stop(grace_seconds, number)

    def _has_started(self) -> bool:
        self.raise_if_ended()
        return self.is_ready


def migration(module: str, folder: Folder, environ_of: Callable[[str], Mapping[str, str]]) -> Process:
    """The process that updates a service's tables. ``environ_of`` has its environment, by its name."""
    name = f"{module.replace('_', '-')}-migrate"
    return Process(name, folder, (sys.executable, "-m", module, "migrate"), env=environ_of(name), cwd=ROOT)


def python_path(caller_path: str) -> str:
    """The caller's PYTHONPATH without the folder of this package, which our processes must not see."""
    own = Path(__file__).resolve().parents[1]
    return ":".join(word for word in caller_path.split(":") if word and Path(word).resolve() != own)
