"""Ports on 127.0.0.1: free ones, wished ones, and whether somebody answers there."""

import os
import random
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from stack.folder import StackError

HOST = "127.0.0.1"
# Below the range the kernel hands to outgoing connections, so nobody takes a port while its server is restarted.
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
    """A port nobody listens on, given to nobody else on this machine for as long as this process lives."""
    dice = random.Random(os.urandom(8))  # noqa: S311  a seed of its own, so a test's seed does not repeat ports
    lowest, highest = _range()
    while True:
        port = dice.randrange(lowest, highest)
        if is_free(port) and claim(port):
            return port


def claim(port: int) -> bool:
    """Whether a port could be claimed against other runs: it is given long before its server listens.

    The claim ends with this process. (decision 30)
    """
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0haoma-port-{port}")  # in Linux's abstract namespace: no file is left behind
    except OSError:
        name.close()
        return False
    name.detach()  # it stays open until the end
    return True


def wished_port(variable: str, default: int, environ: Mapping[str, str], say: Callable[[str], None]) -> int:
    """The port a variable names, else the default, else (the default being taken) a free one, said aloud."""
    wish = environ.get(variable, "")
    if not wish:
        if is_free(default):
            return default
        port = free_port()
        say(f"port {default} is taken: {variable} is {port} instead")
        return port
    if not wish.isdecimal() or not 0 < int(wish) < 65536:
        raise StackError(f"{variable}={wish} is no port number")
    if not is_free(int(wish)):
        raise StackError(f"{variable}={wish}: the port is taken; set another one")
    return int(wish)


def answers(port: int, question: bytes, beginning: bytes) -> bool:
    """Whether the server on a port replies to ``question`` with ``beginning``."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as peer:
            peer.sendall(question)
            reply = b""
            while len(reply) < len(beginning) and (piece := peer.recv(4096)):
                reply += piece
            return reply.startswith(beginning)
    except OSError:
        return False


def _range() -> tuple[int, int]:
    try:
        outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return LOWEST, HIGHEST
    return (LOWEST, min(HIGHEST, outgoing)) if outgoing > LOWEST + 1000 else (LOWEST, HIGHEST)
