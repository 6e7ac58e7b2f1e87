"""Ports on 127.0.0.1: free ones, requested ones, and whether a server responds on one."""

import os
import random
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from stack.folder import StackError

HOST = "127.0.0.1"
# Below the kernel's range for outgoing connections: no client can occupy a port while its server restarts.
LOWEST, HIGHEST = 15000, 30000


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port without a listener, reserved on this machine for as long as this process lives."""
    dice = random.Random(os.urandom(8))  # noqa: S311  a seed of its own, so a test's seed does not repeat ports
    lowest, highest = _range()
    while True:
        port = dice.randrange(lowest, highest)
        if is_free(port) and reserve(port):
            return port


def reserve(port: int) -> bool:
    """Reserve a port against other runs, since its server listens much later. Returns whether it was available.

    The reservation ends with this process (decision 30).
    """
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0haoma-port-{port}")  # in Linux's abstract namespace: it creates no file
    except OSError:
        name.close()
        return False
    name.detach()  # it stays open until this process ends
    return True


def requested_port(variable: str, default: int, environ: Mapping[str, str], notify: Callable[[str], None]) -> int:
    """The port that a variable names, else the default; if the default is in use, a free port and a notice.

    Raises ``StackError`` if the variable names a port that is in use or no port at all.
    """
    text = environ.get(variable, "")
    if not text:
        if is_free(default):
            return default
        port = free_port()
        notify(f"port {default} is in use: {variable} is {port} instead")
        return port
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StackError(f"{variable}={text} is not a port number")
    if not is_free(int(text)):
        raise StackError(f"{variable}={text}: the port is in use; set another one")
    return int(text)


def connect(port: int, timeout_seconds: float) -> socket.socket:
    """A connection to the server on a port. Raises ``OSError`` if there is none.

    A port in the kernel's range for outgoing connections may be the one that the kernel gives to this very connection,
    which is then connected to itself. It is reset: a normal close would keep the port from its server for a minute.
    """
    connection = socket.create_connection((HOST, port), timeout=timeout_seconds)
    if connection.getsockname() == connection.getpeername():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        raise ConnectionRefusedError(f"no server on port {port}: the connection met itself")
    return connection


def responds(port: int, request: bytes, beginning: bytes) -> bool:
    """Whether the server on a port answers ``request`` with ``beginning``, within a second."""
    try:
        with connect(port, 1) as connection:
            connection.sendall(request)
            response = b""
            while len(response) < len(beginning) and (piece := connection.recv(4096)):
                response += piece
            return response.startswith(beginning)
    except OSError:
        return False


def _range() -> tuple[int, int]:
    try:
        outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return LOWEST, HIGHEST
    return (LOWEST, min(HIGHEST, outgoing)) if outgoing > LOWEST + 1000 else (LOWEST, HIGHEST)
