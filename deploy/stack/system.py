"""The whole system on this machine: servers, databases and every process, as one thing to start and stop."""

import os
import secrets
import shlex
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from stack import keys, ports, services
from stack.folder import MAIN_FOLDER, Folder, StackError
from stack.servers import Servers
from stack.services import PROGRAMS, Service

Say = Callable[[str], None]


class Stack:
    """One running system in one data folder. Every call blocks until it is done; any thread may call.

    Tests::

        with Stack.private(environ={"CALLER_LIMITS": "off"}) as stack:   # folder and processes go at the end
            stack.start()                                # or start_servers(), migrate(), launch("gateway") ...
            stack.url("gateway")                         # http://127.0.0.1:<port>
            stack.servers.rabbitmq.stop()                # start(), kill(), pause(), resume(); port and data stay
            stack.services["sms-service"].kill()         # start() brings it back on its port
            stack.launch("sms-service", label="sms-2")   # one more, on a free port
            stack.services["sms-2"].logs()
    """

    def __init__(
        self,
        folder: Path = MAIN_FOLDER,
        *,
        environ: Mapping[str, str] | None = None,
        named: Mapping[str, str] | None = None,
        throwaway: bool = False,
        free_ports: bool = False,
        say: Say = lambda _: None,
    ) -> None:
        """``environ`` is what our processes are given besides; ``named`` may name servers that run already."""
        self.folder = Folder(folder, throwaway=throwaway)
        self.services: dict[str, Service] = {}
        self.servers: Servers
        self._given = dict(os.environ if environ is None else environ)
        self._named = named or {}
        self._free_ports = free_ports
        self._ports: dict[str, int] = {}
        self._say = say

    @classmethod
    def private(cls, *, environ: Mapping[str, str] | None = None, say: Say = lambda _: None) -> Self:
        """A system of one's own beside all others: own servers, free ports, a folder removed at the end.

        ``environ`` is added to the caller's environment for our processes.
        """
        folder = MAIN_FOLDER / f"test-{os.getpid()}-{secrets.token_hex(3)}"
        around = {name: value for name, value in os.environ.items() if name not in _OWN_NAMES}
        return cls(folder, environ={**around, **(environ or {})}, throwaway=True, free_ports=True, say=say)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def open(self) -> None:
        """Take the data folder and settle ports and secrets; starts nothing. ``with`` does it."""
        left = self.folder.open()
        if left:
            self._say(f"ended {len(left)} processes that a killed run had left")
        try:
            self._kept = keys.keep(self.folder.path / "secrets.env")
            self._ports = {name: self._port(name) for name in PROGRAMS}
            self.servers = Servers(self.folder, self._kept, self._named, self._say)
        except BaseException:
            self.folder.close()
            raise

    def start(self) -> None:
        """Start everything and wait until all is ready."""
        self.start_servers(then=self.migrate)
        self.start_services()

    def start_servers(self, then: Callable[[], None] = lambda: None) -> None:
        """Start the servers together; ``then`` runs as soon as PostgreSQL answers."""
        self.servers.start(then)

    def migrate(self, modules: Iterable[str] = services.MIGRATED) -> None:
        """Make each service's database and tables, side by side. Raises ``StackError`` when one fails."""
        runs = [services.migration(module, self.folder, self.environ) for module in modules]
        for run in runs:
            run.spawn()
        for run in runs:
            if run.wait(120) != 0:
                raise StackError(run.obituary())
        self._say("databases are up to date")

    def start_services(self, names: Iterable[str] = tuple(PROGRAMS)) -> None:
        """Start our processes together and wait until each is ready."""
        started = [self.launch(name, wait=False) for name in names]
        with ThreadPoolExecutor(max_workers=len(started)) as pool:
            for wait in [pool.submit(self._await, service) for service in started]:
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
        """Start a process by its name in ``PROGRAMS``. With a ``label`` it is one more copy, on a free port.

        It is then ``services[label or name]``. ``env`` is added to its environment.
        """
        own = ports.free_port() if label else self._ports[name]
        service = Service(PROGRAMS[name], self.folder, port or own, {**self.environ, **(env or {})}, label)
        self.services[service.name] = service
        service.spawn()
        if wait:
            service.wait_ready()
        return service

    def stop(self) -> None:
        """Stop our processes (they drain), then the servers, then whatever is left; nothing survives this."""
        self.folder.interrupt()
        running = [service for service in self.services.values() if service.is_alive]
        if running:
            with ThreadPoolExecutor(max_workers=len(running)) as pool:
                list(pool.map(lambda service: service.stop(), running))
        if hasattr(self, "servers"):
            self.servers.close()
        self.folder.close()

    def url(self, name: str) -> str:
        """The address of a service, ``"gateway"`` and the like."""
        return f"http://{ports.HOST}:{self._ports[name]}"

    @property
    def addresses(self) -> dict[str, str]:
        """What scripts need to find the system, by variable."""
        found = {program.address: self.url(name) for name, program in PROGRAMS.items() if program.address}
        return found | self.servers.environ

    @property
    def environ(self) -> dict[str, str]:
        """The environment of our processes."""
        fixed = {program.port_variable: str(self._ports[name]) for name, program in PROGRAMS.items()}
        made = {"ENVIRONMENT": "development", **keys.ours(self._kept)}
        ours = {name: self._given.get(name) or value for name, value in made.items()}
        path = services.python_path(self._given.get("PYTHONPATH", ""))
        rest = {name: value for name, value in self._given.items() if name != "PYTHONPATH"}
        return {
            **rest,
            **({"PYTHONPATH": path} if path else {}),
            **ours,
            **self.addresses,
            **fixed,
            "BIND_ADDRESS": ports.HOST,
            "INBOX_URL": self.url("sms-service"),
            "PYTHONUNBUFFERED": "1",
        }

    def dead(self) -> list[str]:
        """How each process that should run, but does not, ended."""
        return [each.obituary() for each in (*self.services.values(), *self.servers.all) if not each.is_alive]

    def write_env(self) -> Path:
        """Write ``stack.env``: shell syntax, for scripts that look for the system. Gone when the stack is."""
        file = self.folder.path / "stack.env"
        fresh = file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in self.addresses.items()))
        return fresh.replace(file)

    def _await(self, service: Service) -> None:
        service.wait_ready()
        self._say(f"{service.name} is ready on port {service.port}")

    def _port(self, name: str) -> int:
        if self._free_ports:
            return ports.free_port()
        return ports.wished_port(PROGRAMS[name].port_variable, PROGRAMS[name].default_port, self._given, self._say)


_OWN_NAMES = {
    *(program.port_variable for program in PROGRAMS.values()),
    *(program.address for program in PROGRAMS.values()),
    *keys.KEYS,
    *keys.KEY_RINGS,
}
