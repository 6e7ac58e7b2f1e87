"""Several private servers in the place of one: a stack starts them, and gives their URL to our processes."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from stack import ports
from stack.roles.catalogue import OPERATOR, Passwords
from stack.servers.private_server import PrivateServer

FORM_SECONDS = 150.0
"""A sentinel that got no CPU for two seconds does nothing for the next 30."""
ServerT = TypeVar("ServerT", bound=PrivateServer)


class ServerGroup(Generic[ServerT]):
    """The nodes of one kind of server. Every process has the URL of its role, with the places of all nodes."""

    name: str
    variable: str
    scheme: str
    operator = OPERATOR

    def __init__(self, nodes: Sequence[ServerT], passwords: Mapping[str, str]) -> None:
        self.nodes = nodes
        self._passwords = Passwords(self.variable, passwords)

    @property
    def places(self) -> str:
        """The hosts and ports of all nodes, and the path of the URL."""
        path = urlsplit(self.nodes[0].url).path
        return ",".join(f"{ports.HOST}:{node.port}" for node in self.nodes) + path

    @property
    def url(self) -> str:
        """The URL of the operator, who may do everything."""
        parts = urlsplit(self.nodes[0].url)
        return f"{self.scheme}://{parts.username}:{parts.password}@{self.places}"

    def url_as(self, process: str) -> str | None:
        """The URL with which a process of ours connects; None if it does not use these servers."""
        found = self._passwords.role(process)
        if found is None:
            return None
        role, password = found
        places = self.places.rpartition("/")[0] + f"/{role.database}" if role.database else self.places
        return f"{self.scheme}://{role.user}:{password}@{places}"

    @property
    def is_alive(self) -> bool:
        """Whether any node runs."""
        return any(node.is_alive for node in self.nodes)

    def start(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Stop all nodes, the first one last."""
        for node in reversed(self.nodes):
            node.close()

    def exit_report(self) -> str:
        return "\n".join(node.exit_report() for node in self.nodes if not node.is_alive)


def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition()`` is true. Raises ``TimeoutError`` after ``FORM_SECONDS``."""
    deadline = time.monotonic() + FORM_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the servers did not form a cluster")
        time.sleep(0.05)
