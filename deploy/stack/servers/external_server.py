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
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port or default_port) if parts.hostname else None

    def start(self) -> None:
        """Wait until it accepts connections. Raises ``StackError`` after 60 s."""
        late = "{}: no server accepts connections at {}:{}".format(self.variable, *(self._address or ("", "")))
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
        if self._address is None:
            return True
        try:
            socket.create_connection(self._address, timeout=2).close()
        except OSError:
            return False
        return True

    def _refuse(self) -> None:
        raise StackError(f"{self.name} is an external server, named by {self.variable}: the stack cannot stop it")
