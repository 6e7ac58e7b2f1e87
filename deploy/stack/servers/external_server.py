"""An external server, which the environment names: the stack uses it and never stops it."""

import socket
from urllib.parse import urlsplit

from stack.folder import Folder, StackError
from stack.roles.catalogue import BY_VARIABLE

START_TIMEOUT_SECONDS = 60.0


class ExternalServer:
    """A server at ``url``, which the variable ``variable`` of the caller names."""

    def __init__(self, folder: Folder, name: str, variable: str, url: str, default_port: int) -> None:
        self._folder = folder
        self.name = name
        self.variable = variable
        self.url = url
        self.is_alive = True
        self._addresses = _addresses(url, default_port)

    def start(self) -> None:
        """Wait until one of its hosts accepts connections. Raises ``StackError`` after 60 s."""
        where = ", ".join(f"{host}:{port}" for host, port in self._addresses)
        late = f"{self.variable}: no server accepts connections at {where}"
        self._folder.wait_until(self._is_reachable, START_TIMEOUT_SECONDS, late)

    def url_as(self, process: str) -> str | None:
        """The URL that the caller gave, for every process of ours that uses this server."""
        return self.url if process in BY_VARIABLE[self.variable] else None

    def stop(self) -> None:
        self._refuse()

    def kill(self) -> None:
        self._refuse()

    def pause(self) -> None:
        self._refuse()

    def resume(self) -> None:
        self._refuse()

    def close(self) -> None:
        """Leave it running."""

    def exit_report(self) -> str:
        return f"{self.name} is an external server"

    def _is_reachable(self) -> bool:
        return not self._addresses or any(map(_accepts, self._addresses))

    def _refuse(self) -> None:
        raise StackError(f"{self.name} is an external server, named by {self.variable}: the stack cannot stop it")


def _addresses(url: str, default_port: int) -> list[tuple[str, int]]:
    """The hosts and ports of a URL; none if it leads to a socket."""
    _, _, hosts = urlsplit(url).netloc.rpartition("@")
    parts = [urlsplit(f"//{host}") for host in hosts.split(",")]
    return [(part.hostname, part.port or default_port) for part in parts if part.hostname]


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        return False
    return True
