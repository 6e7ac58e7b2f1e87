"""A server that speaks enough of Redis' protocol for a client, in a thread of its own: it answers while the loop stands."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ANSWERS = {b"HELLO": b"-ERR unknown command\r\n", b"PING": b"+PONG\r\n", b"SCRIPT": b"+digest\r\n"}


class RespServer(socketserver.ThreadingTCPServer):
    """Answers ``+OK`` to what it does not know. ``before`` is called with each command, before it is answered."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.before: Callable[[bytes], object] = lambda _: None
        self.accepted: list[_Connection] = []
        self.port = self.server_address[1]

    def end_connections(self) -> None:
        """Close every connection, as a server that restarts does."""
        for connection in self.accepted:
            with suppress(OSError):  # the client closed it first
                connection.connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    server: RespServer

    def handle(self) -> None:
        self.server.accepted.append(self)
        try:
            while line := self.rfile.readline():
                name, *_ = [self._bulk() for _ in range(int(line[1:]))]
                self.server.before(name.upper())
                self.wfile.write(ANSWERS.get(name.upper(), b"+OK\r\n"))
        except (OSError, ValueError):  # the connection was closed
            return

    def _bulk(self) -> bytes:
        return self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2]


@contextmanager
def resp_server() -> Iterator[RespServer]:
    """A server on a free port, until the end of the block."""
    with RespServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.end_connections()
            thread.join()
