"""A lean HTTP/1.1 client for calls between our own processes: a POST, an answer with a length, kept connections.

It knows nothing else of HTTP on purpose: the other side is always our own server. docs/decisions has what it saves.
"""

import asyncio
import random
import re
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

MAX_CONNECTIONS = 200
"""To one address; a call beyond them waits for its turn, within its own deadline."""
CONNECT_SECONDS = 0.5
"""For one address; then the next is tried."""
IDLE_SECONDS = 15.0
"""Shorter than our servers keep a silent connection, so that no call meets one that is being closed."""
OLDEST_SECONDS = 60.0
"""A connection is renewed after this, so that new replicas behind one name get their share."""
MAX_HEAD = 16 * 1024
MAX_BODY = 8 * 1024 * 1024

_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r\n")
_LENGTH = re.compile(rb"\r\nContent-Length: *([0-9]{1,9})\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nConnection: *close\r\n", re.IGNORECASE)

Answer = tuple[int, bytes]


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._received = bytearray()
        self._body_at = 0
        self._ends_at = 0
        self._status = 0
        self.born = self.idle_since = time.monotonic()
        self.reusable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer. Raises ``ConnectionError``; never sends twice."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("closed before the request was sent")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = None

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # nobody asked
            self.close()
            return
        self._received += data
        if not self._ends_at and not self._read_head():
            return
        if len(self._received) >= self._ends_at and not self._answer.done():
            body = bytes(self._received[self._body_at : self._ends_at])
            self.reusable = self.reusable and len(self._received) == self._ends_at
            self._received.clear()
            self._ends_at = 0
            self._answer.set_result((self._status, body))

    def _read_head(self) -> bool:
        end = self._received.find(_HEAD_END)
        if end < 0:
            if len(self._received) > MAX_HEAD:
                self._fail("its head does not end")
            return False
        head = bytes(self._received[: end + 2])
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if not status or not length or int(length[1]) > MAX_BODY:
            self._fail("its answer is none of ours")
            return False
        self._status = int(status[1])
        self._body_at = end + len(_HEAD_END)
        self._ends_at = self._body_at + int(length[1])
        self.reusable = not _CLOSE.search(head)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the connection was lost", exc)

    def _fail(self, why: str, cause: Exception | None = None) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            error = ConnectionError(why)
            error.__cause__ = cause
            self._answer.set_exception(error)

    @property
    def is_fresh(self) -> bool:
        """Whether it may carry another request."""
        now = time.monotonic()
        alive = self._transport is not None and not self._transport.is_closing()
        return alive and self.reusable and now - self.idle_since < IDLE_SECONDS and now - self.born < OLDEST_SECONDS

    def close(self) -> None:
        """End it, whatever it is doing."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()


class Upstream:
    """Another service's address, with connections that are kept between calls."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        fixed = {"Host": parts.netloc, "Content-Type": "application/json", **headers}
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in fixed.items())
        self._idle: deque[_Connection] = deque()
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)

    async def post(self, path: str, body: bytes, request_id: str) -> Answer:
        """POST JSON and return status and body. Raises ``ConnectionError`` or ``OSError``; the caller has the clock."""
        head = f"POST {path} HTTP/1.1\r\n{self._fixed}X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
        async with self._turns:
            connection = self._take_idle() or await self._connect()
            try:
                answer = await connection.exchange(head.encode() + body)
            except BaseException:
                connection.close()
                raise
        self._give_back(connection)
        return answer

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()

    async def _connect(self) -> _Connection:
        """A new connection, to any one of the addresses behind the name: replicas share the calls."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        random.shuffle(found)
        errors: list[OSError] = []
        for *_, address in found:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    _transport, connection = await loop.create_connection(_Connection, str(address[0]), self._port)
            except OSError as error:  # TimeoutError is one
                errors.append(error)
            else:
                return connection
        raise errors[0] if errors else ConnectionError("the name has no address")

    def close(self) -> None:
        """Close what is idle; what is busy ends with its call."""
        while self._idle:
            self._idle.pop().close()


@asynccontextmanager
async def upstream(url: str, headers: dict[str, str]) -> AsyncIterator[Upstream]:
    """An ``Upstream`` for as long as the block lasts."""
    opened = Upstream(url, headers)
    try:
        yield opened
    finally:
        opened.close()
