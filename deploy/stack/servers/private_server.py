"""A private server: one process in the data folder that starts, stops, freezes and comes back on its port."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from stack.folder import Folder
from stack.process import Process
from stack.roles.catalogue import Passwords

INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")
NO_PASSWORDS: Mapping[str, str] = MappingProxyType({})
START_TIMEOUT_SECONDS = 180.0
"""A broker on a machine with a load of 8 a core was seen to need more than a minute."""
STOP_GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class Variation:
    """How a server differs from the one of a stack: its name, and settings in the words of its configuration file."""

    name: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


PLAIN = Variation()


class PrivateServer:
    """The common part of the private servers. A restart keeps the port and the data.

    A subclass prepares its process in ``_prepare`` and recognises its server's response in ``_responds``. Each of our
    processes finds the URL of its role, ``url_as``, in the variable ``variable``. Who has ``url`` may do everything.
    """

    name: str
    variable: str
    url: str
    port: int
    process: Process

    def __init__(self, folder: Folder, role_passwords: Mapping[str, str], variation: Variation) -> None:
        self.folder = folder
        self.name = variation.name or self.name
        self.settings = variation.settings
        self.passwords = Passwords(self.variable, role_passwords)
        self.home = folder.path / self.name
        self.home.mkdir(exist_ok=True)

    def start(self) -> None:
        """Start it and wait until it responds. Does nothing while it runs."""
        self._prepare()
        self.process.spawn()
        late = f"{self.name} did not respond within {START_TIMEOUT_SECONDS:.0f} s, see {self.process.log_path}"
        self.folder.wait_until(self._is_ready, START_TIMEOUT_SECONDS, late)
        self._started()

    def stop(self) -> None:
        """Stop it cleanly."""
        self.process.stop(STOP_GRACE_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing responds."""
        self.process.pause()

    def resume(self) -> None:
        """Undo ``pause``."""
        self.process.resume()

    def close(self) -> None:
        """Stop it and its helper processes."""
        self.stop()

    def url_as(self, process: str) -> str | None:
        """The URL with which a process of ours connects; None if it does not use this server."""
        found = self.passwords.role(process)
        return found and self._url(found[0].user, found[1], found[0].database)

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive

    def exit_report(self) -> str:
        return self.process.exit_report()

    def _url(self, user: str, password: str, database: str) -> str:
        raise NotImplementedError

    def _prepare(self) -> None:
        raise NotImplementedError

    def _responds(self) -> bool:
        raise NotImplementedError

    def _started(self) -> None:
        """Called after each start, once the server has responded."""

    def _is_ready(self) -> bool:
        self.process.raise_if_ended()
        return self._responds()


def minimal_environment() -> Mapping[str, str]:
    """The few variables of the caller's environment that a server needs."""
    return {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
