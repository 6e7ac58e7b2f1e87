"""A small HTTP/1.1 client for calls between our own processes: POST, a response with a length, reused connections.

It implements no more of HTTP because the other side is always our own server. Decision 13 has what that saves, and
decision 69 what it sends again.
"""

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast
from urllib.parse import urlsplit

from shared.process.host_names import HostNames
from shared.process.pools import Slots
from shared.trace import TRACEPARENT, Cause

MAX_CONNECTIONS = 200
"""To one address. Further calls wait for a free connection within their own deadline."""
CONNECT_SECONDS = 0.5
"""The limit of connecting to one address, before the next is tried."""
IDLE_SECONDS = 15.0
"""Shorter than our servers keep an idle connection, so that no call uses one that is being closed."""
MAX_AGE_SECONDS = 60.0
"""Older connections are replaced, so that new replicas behind one name get their share of the calls."""
AVOID_SECONDS = 5.0
"""How long an address that ends its connections, or refuses them, is tried after the others."""
MAX_SENDS = 3
"""How often a request is sent at most. Each but the last was not read by the other side, or may be repeated."""
NOT_READ = 408
"""Our servers' last words on an idle connection: a request that was on its way was not read (RFC 9110, 15.5.9)."""
MAX_HEAD = 16 * 1024
MAX_BODY = 8 * 1024 * 1024

_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r\n")
_LENGTH = re.compile(rb"\r\nContent-Length: *([0-9]{1,9})\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nConnection: *close\r\n", re.IGNORECASE)

Response = tuple[int, bytes]
"""Status and body."""


class NotSentError(ConnectionError):
    """The connection was closed before the request was written to it."""


class _Connection(asyncio.Protocol):
    """One connection to an address, one exchange at a time."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._transport: asyncio.Transport | None = None
        self._response: asyncio.Future[Response] | None = None
        self._received = bytearray()
        self._body_start = 0
        self._body_end = 0
        self._status = 0
        self.opened_at = self.idle_since = time.monotonic()
        self.reusable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    async def exchange(self, request: bytes) -> Response:
        """Send a request once and wait for its response. Raises ``NotSentError`` or another ``ConnectionError``."""
        if self._transport is None or self._transport.is_closing():
            raise NotSentError("closed before the request was sent")
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._response
        finally:
            self._response = None

    def data_received(self, data: bytes) -> None:
        if self._response is None:  # no request is open
            self.close()
            return
        self._received += data
        if not self._body_end and not self._read_head():
            return
        if len(self._received) >= self._body_end and not self._response.done():
            body = bytes(self._received[self._body_start : self._body_end])
            self.reusable = self.reusable and len(self._received) == self._body_end
            self._received.clear()
            self._body_end = 0
            self._response.set_result((self._status, body))

    def _read_head(self) -> bool:
        end = self._received.find(_HEAD_END)
        if end < 0:
            if len(self._received) > MAX_HEAD:
                self._fail("the response head is too long")
            return False
        head = bytes(self._received[: end + 2])
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if not status or not length or int(length[1]) > MAX_BODY:
            self._fail("the response is malformed")
            return False
        self._status = int(status[1])
        self._body_start = end + len(_HEAD_END)
        self._body_end = self._body_start + int(length[1])
        self.reusable = not _CLOSE.search(head)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the connection was lost", exc)

    def _fail(self, reason: str, cause: Exception | None = None) -> None:
        self.close()
        if self._response is not None and not self._response.done():
            error = ConnectionError(reason)
            error.__cause__ = cause
            self._response.set_exception(error)

    @property
    def is_fresh(self) -> bool:
        """Whether the connection may carry another request."""
        now = time.monotonic()
        alive = self._transport is not None and not self._transport.is_closing()
        return (
            alive and self.reusable and now - self.idle_since < IDLE_SECONDS and now - self.opened_at < MAX_AGE_SECONDS
        )

    def close(self) -> None:
        """Close the connection at once. An open request fails."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()


class Upstream:
    """The address of another service, with connections that are reused."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        fixed = {"Host": parts.netloc, "Content-Type": "application/json", **headers}
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in fixed.items())
        self._idle: deque[_Connection] = deque()
        self.slots = Slots(MAX_CONNECTIONS)
        self._avoided_until: dict[str, float] = {}
        self._names = HostNames()

    async def post(self, path: str, body: bytes, cause: Cause, *, repeatable: bool = False) -> Response:
        """POST JSON; returns status and body. Raises ``OSError``. The deadline is the caller's.

        A request that the other side did not read is sent again, and a ``repeatable`` one also if its connection is
        lost.
        """
        trace = f"{TRACEPARENT}: {cause.traceparent}\r\n" if cause.traceparent else ""
        varying = f"X-Request-Id: {cause.request_id}\r\n{trace}Content-Length: {len(body)}\r\n\r\n"
        head = f"POST {path} HTTP/1.1\r\n{self._fixed}{varying}"
        async with self.slots:
            return await self._send(head.encode() + body, (ConnectionError if repeatable else NotSentError))

    async def _send(self, request: bytes, repeat_on: type[ConnectionError]) -> Response:
        connection = self._reuse() or await self._connect()
        for _ in range(MAX_SENDS - 1):
            try:
                response = await self._exchange(connection, request)
            except repeat_on:
                pass
            else:
                if response[0] != NOT_READ:
                    return response
            connection = await self._connect()
        return await self._exchange(connection, request)

    async def _exchange(self, connection: _Connection, request: bytes) -> Response:
        try:
            response = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        self._release(connection)
        return response

    def _reuse(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh:
                return connection
            connection.close()
        return None

    def _release(self, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
            self._avoid(connection.address)

    def _avoid(self, address: str) -> None:
        """Try the other addresses first for a while: this replica is about to end, or has."""
        self._avoided_until[address] = time.monotonic() + AVOID_SECONDS

    def _order(self, addresses: list[str]) -> list[str]:
        """Random, so that replicas share the calls, but those to avoid last."""
        now = time.monotonic()
        self._avoided_until = {address: until for address, until in self._avoided_until.items() if until > now}
        return sorted(random.sample(addresses, len(addresses)), key=self._avoided_until.__contains__)

    async def _connect(self) -> _Connection:
        """Connect to one of the addresses of the name."""
        addresses = await self._names.addresses(self._host, self._port)
        errors: list[OSError] = []
        for address in self._order(addresses):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._connect_to(address)
            except OSError as error:  # TimeoutError is one
                errors.append(error)
            except RuntimeError:  # of uvloop, when the other side resets the connection at once
                errors.append(ConnectionResetError("reset while connecting"))
            self._avoid(address)
        raise errors[0] if errors else ConnectionError("the host name has no address")

    async def _connect_to(self, address: str) -> _Connection:
        connection = partial(_Connection, address)
        return (await asyncio.get_running_loop().create_connection(connection, address, self._port))[1]

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()
        await self._names.close()


@asynccontextmanager
async def upstream(url: str, headers: dict[str, str]) -> AsyncIterator[Upstream]:
    """An ``Upstream`` whose connections are closed at the end of the block."""
    opened = Upstream(url, headers)
    try:
        yield opened
    finally:
        await opened.close()
