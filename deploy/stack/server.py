"""What every server of the stack can do, and the server somebody else runs."""

import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from stack.folder import Folder, StackError
from stack.process import Process

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


class PrivateServer:
    """A server of our own: one process in the data folder. Start, stop and start keep port and data.

    A subclass says how to prepare it and what an answer is. ``variable`` is how our processes are told its ``url``.
    """

    name: str
    variable: str
    url: str
    port: int
    patience = 60.0  # seconds until it must answer
    grace = 15.0  # seconds until a stop becomes a kill
    process: Process

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.home = folder.path / self.name
        self.home.mkdir(exist_ok=True)

    def start(self) -> None:
        """Start it and wait until it answers; does nothing when it runs."""
        self._prepare()
        self.process.spawn()
        late = f"{self.name} did not answer within {self.patience:.0f} s, see {self.process.log_path}"
        self.folder.await_ready(self._is_ready, self.patience, late)
        self._started()

    def stop(self) -> None:
        """Stop it in good order."""
        self.process.stop(self.grace)

    def kill(self) -> None:
        """``kill -9`` it."""
        self.process.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open, nobody answers."""
        self.process.pause()

    def resume(self) -> None:
        """Undo ``pause``."""
        self.process.resume()

    def close(self) -> None:
        """Stop it and everything it needed."""
        self.stop()

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive

    def obituary(self) -> str:
        return self.process.obituary()

    def _prepare(self) -> None:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _started(self) -> None:
        """What to note once it has answered."""

    def _is_ready(self) -> bool:
        self.process.fail_if_dead()
        return self._answers()


class NamedServer:
    """A server the environment names: it is used as it is, and never stopped."""

    def __init__(self, folder: Folder, name: str, variable: str, url: str, default_port: int) -> None:
        self._folder = folder
        self.name = name
        self.variable = variable
        self.url = url
        self.is_alive = True
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port or default_port) if parts.hostname else None

    def start(self) -> None:
        """Wait up to 60 s until it can be reached."""
        late = "{}: nobody answers at {}:{}".format(self.variable, *(self._address or ("", "")))
        self._folder.await_ready(self._is_reachable, 60, late)

    def stop(self) -> None:
        self._refuse()

    def kill(self) -> None:
        self._refuse()

    def pause(self) -> None:
        self._refuse()

    def resume(self) -> None:
        self._refuse()

    def close(self) -> None:
        """Nothing: it is not ours."""

    def obituary(self) -> str:
        return f"{self.name} is not ours"

    def _is_reachable(self) -> bool:
        if self._address is None:
            return True
        try:
            socket.create_connection(self._address, timeout=2).close()
        except OSError:
            return False
        return True

    def _refuse(self) -> None:
        raise StackError(f"{self.name} is named by {self.variable}: it is not ours to stop")


def bare_environment(**more: str) -> Mapping[str, str]:
    """The little of the caller's environment a server needs."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | more
