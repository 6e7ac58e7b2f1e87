"""A proxy before a server, which can accept connections and treat them badly, as one without a server behind it does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Self

from stack import ports

from support.streams import pump

GARBAGE = b"\x00\xff\x16\x03\r\n" * 50


class Fault(Enum):
    """What happens to a connection that was accepted."""

    CLOSED = "closed at once"
    RESET = "reset after the first bytes"
    SILENT = "never answered"
    GARBAGE = "answered with garbage"


class FaultyProxy:
    """Passes bytes between clients and the server at ``target``, a port, but for connections during a fault.

    ``mistreated`` counts the connections since the fault began.
    """

    def __init__(self, target: int) -> None:
        self.target, self.port = target, ports.free_port()
        self.mistreated = 0
        self._fault: Fault | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def before(cls, target: int) -> AsyncIterator[Self]:
        """Listen on a port of its own until the block ends."""
        proxy = cls(target)
        server = await asyncio.start_server(proxy._accept, ports.HOST, proxy.port)
        try:
            yield proxy
        finally:
            server.close()
            proxy.set(None)

    def set(self, fault: Fault | None) -> None:
        """Treat new connections so from now on, and end those that are open."""
        self._fault, self.mistreated = fault, 0
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.mistreated += self._fault is not None
        with contextlib.suppress(OSError), self._opened(writer):
            match self._fault:
                case None:
                    await self._pass(reader, writer)
                case Fault.CLOSED:
                    pass
                case Fault.RESET:
                    await reader.read(1)
                    writer.transport.abort()
                case Fault.SILENT:
                    while await reader.read(65_536):
                        pass
                case Fault.GARBAGE:
                    writer.write(GARBAGE)
                    await reader.read(1)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(ports.HOST, self.target)
        with self._opened(server_writer):
            await asyncio.gather(pump(reader, server_writer), pump(server_reader, writer))

    @contextlib.contextmanager
    def _opened(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._open.add(writer)
        try:
            yield
        finally:
            self._open.discard(writer)
            writer.close()
