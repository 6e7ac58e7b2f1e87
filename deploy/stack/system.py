"""The whole system on this machine: servers, databases and every process, started and stopped together."""

import os
import secrets
import shlex
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from stack import keys, orphans, ports, services
from stack.folder import MAIN_FOLDER, Folder, StackError
from stack.servers.server_set import ServerSet
from stack.services import PROGRAMS, Service

Notify = Callable[[str], None]


class Stack:
    """One running system in one data folder. Every call blocks until it is done; any thread may call.

    Tests::

        with Stack.private(environ={"CALLER_LIMITS": "off"}) as stack:   # ends its processes, removes its folder
            stack.start()                                # or start_servers(), migrate(), launch("gateway") ...
            stack.url("gateway")                         # http://127.0.0.1:<port>
            stack.servers.rabbitmq.stop()                # start(), kill(), pause(), resume(); port and data stay
            stack.services["sms-service"].kill()         # start() restarts it on its port
            stack.launch("sms-service", label="sms-2")   # another copy, on a free port
            stack.services["sms-2"].logs()
    """

    def __init__(
        self,
        folder: Path = MAIN_FOLDER,
        *,
        environ: Mapping[str, str] | None = None,
        external: Mapping[str, str] | None = None,
        temporary: bool = False,
        free_ports: bool = False,
        notify: Notify = lambda _: None,
    ) -> None:
        """Our processes get ``environ`` and the stack's own variables; ``external`` may name running servers.

        ``notify`` gets a line of text at each step of a start.
        """
        self.folder = Folder(folder, temporary=temporary)
        self.services: dict[str, Service] = {}
        self.servers: ServerSet
        self._caller_environ = dict(os.environ if environ is None else environ)
        self._external = external or {}
        self._free_ports = free_ports
        self._ports: dict[str, int] = {}
        self._monitoring_ports: dict[str, int] = {}
        self._notify = notify
        self._operators_file = self.folder.path / "operators.toml"

    @classmethod
    def private(cls, *, environ: Mapping[str, str] | None = None, notify: Notify = lambda _: None) -> Self:
        """A separate system: private servers, free ports, and a folder that is removed at the end.

        Our processes get the caller's environment and ``environ``.
        """
        folder = MAIN_FOLDER / f"test-{os.getpid()}-{secrets.token_hex(3)}"
        inherited = {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}
        return cls(folder, environ={**inherited, **(environ or {})}, temporary=True, free_ports=True, notify=notify)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def open(self) -> None:
        """Lock the data folder, choose ports and load secrets; start nothing. A ``with`` statement calls this."""
        ended = self.folder.open()
        if ended:
            self._notify(f"ended {len(ended)} processes of an earlier run that was killed")
        try:
            self._secrets = keys.load_or_create(self.folder.path / "secrets.env")
            keys.write_operators(self._operators_file, self._secrets)
            self._ports = {name: self._port(each.port_variable, each.default_port) for name, each in PROGRAMS.items()}
            self._monitoring_ports = {
                name: self._port(each.monitoring_variable, each.default_monitoring_port)
                for name, each in PROGRAMS.items()
            }
            self.servers = ServerSet(self.folder, self._secrets, self._external, self._notify)
        except BaseException:
            self.folder.close()
            raise

    def start(self) -> None:
        """Start everything and wait until all is ready."""
        self.start_servers(then=self.migrate)
        self.start_services()

    def start_servers(self, then: Callable[[], None] = lambda: None) -> None:
        """Start the servers together; ``then`` runs as soon as PostgreSQL responds."""
        self.servers.start(then)

    def migrate(self, modules: Iterable[str] = services.MIGRATED_MODULES) -> None:
        """Create or update each service's database, in parallel. Raises ``StackError`` if a migration fails."""
        runs = [services.migration(module, self.folder, self.environ_of) for module in modules]
        for run in runs:
            run.spawn()
        for run in runs:
            if run.wait(120) != 0:
                raise StackError(run.exit_report())
        self._notify("the databases are up to date")

    def start_services(self, names: Iterable[str] = tuple(PROGRAMS)) -> None:
        """Start our processes together and wait until each is ready."""
        started = [self.launch(name, wait=False) for name in names]
        with ThreadPoolExecutor(max_workers=len(started)) as pool:
            for wait in [pool.submit(self._wait_ready, service) for service in started]:
                wait.result()

    def launch(
        self,
        name: str,
        *,
        label: str | None = None,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> Service:
        """Start a process by its name in ``PROGRAMS``. A ``label`` starts another copy, on a free port.

        The result is also ``services[label or name]``. ``env`` extends its environment.
        """
        default = ports.free_port() if label else self._ports[name]
        monitoring_port = ports.free_port() if label else self._monitoring_ports[name]
        service = Service(
            PROGRAMS[name],
            self.folder,
            self.environ_of(name) | dict(env or {}),
            label,
            port=port or default,
            monitoring_port=monitoring_port,
        )
        self.services[service.name] = service
        service.spawn()
        if wait:
            service.wait_ready()
        return service

    def stop(self) -> None:
        """Let our processes drain, stop the servers, then end every process that still runs in the folder."""
        self.folder.interrupt()
        running = [service for service in self.services.values() if service.is_alive]
        if running:
            with ThreadPoolExecutor(max_workers=len(running)) as pool:
                list(pool.map(lambda service: service.stop(), running))
        if hasattr(self, "servers"):
            self.servers.close()
        self.folder.close()

    def url(self, name: str) -> str:
        """The address of a service, by its name in ``PROGRAMS``."""
        return f"http://{ports.HOST}:{self._ports[name]}"

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses of services and servers by variable: what a script needs to find the system."""
        urls = {program.url_variable: self.url(name) for name, program in PROGRAMS.items() if program.url_variable}
        return urls | self.monitoring_addresses | self.servers.environ

    @property
    def monitoring_addresses(self) -> dict[str, str]:
        """Where each process serves health and metrics, by variable."""
        return {
            program.monitoring_variable.replace("_PORT", "_URL"): f"http://{ports.HOST}:{self._monitoring_ports[name]}"
            for name, program in PROGRAMS.items()
        }

    @property
    def environ(self) -> dict[str, str]:
        """The environment of an operator's command, with all secrets, whose roles on the servers may do everything."""
        ports_by_variable = {
            program.port_variable: str(self._ports[name]) for name, program in PROGRAMS.items() if program.port_variable
        }
        ports_by_variable |= {
            program.monitoring_variable: str(self._monitoring_ports[name]) for name, program in PROGRAMS.items()
        }
        secrets_by_name = keys.for_services(self._secrets)
        defaults = {"ENVIRONMENT": "development", "JWT_ISSUER": self.url("gateway"), **secrets_by_name}
        if (self._caller_environ.get("ENVIRONMENT") or "development") == "development":
            defaults["CALLER_LIMITS"] = "off"  # all requests of a developer come from one address
        chosen = {name: self._caller_environ.get(name) or value for name, value in defaults.items()}
        path = services.python_path(self._caller_environ.get("PYTHONPATH", ""))
        rest = {name: value for name, value in self._caller_environ.items() if name != "PYTHONPATH"}
        return {
            **rest,
            **({"PYTHONPATH": path} if path else {}),
            **chosen,
            **self.addresses,
            **ports_by_variable,
            "BIND_ADDRESS": ports.HOST,
            "INBOX_URL": self.url("sms-service"),
            "OPERATORS_FILE": str(self._operators_file),
            "PYTHONUNBUFFERED": "1",
        }

    def environ_of(self, process: str) -> dict[str, str]:
        """The environment of one of our processes: ``environ`` with its own secrets, and its roles on the servers.

        A command that is started with it belongs to the stack, and ends with it at the latest.
        """
        environ = keys.without_others(self.environ, process) | {orphans.FOLDER_VARIABLE: str(self.folder.path)}
        own = self.servers.environ_of(process)
        return {name: value for name, value in environ.items() if name not in self.servers.environ} | own

    def exit_reports(self) -> list[str]:
        """The exit report of each process and server that should run and does not."""
        return [each.exit_report() for each in (*self.services.values(), *self.servers.all) if not each.is_alive]

    def write_env(self) -> Path:
        """Write the addresses to ``stack.env`` in shell syntax, for scripts. The file goes when the stack stops."""
        file = self.folder.path / "stack.env"
        new_file = file.with_suffix(".new")
        new_file.touch(mode=0o600)
        new_file.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in self.addresses.items()))
        return new_file.replace(file)

    def _wait_ready(self, service: Service) -> None:
        service.wait_ready()
        where = f" on port {service.port}" if service.program.port_variable else ""
        self._notify(f"{service.name} is ready{where}")

    def _port(self, variable: str | None, default: int) -> int:
        if self._free_ports or variable is None:
            return ports.free_port()
        return ports.requested_port(variable, default, self._caller_environ, self._notify)


_OWN_VARIABLES = {
    *(program.port_variable for program in PROGRAMS.values()),
    *(program.monitoring_variable for program in PROGRAMS.values()),
    *(program.url_variable for program in PROGRAMS.values()),
    *keys.SECRETS,
}
