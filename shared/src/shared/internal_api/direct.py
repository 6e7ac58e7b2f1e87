"""Calls of our own client, read and answered on the bare connection: the other half of ``upstream.py``.

Every connection begins here. As soon as it carries anything but a call as ``upstream.py`` writes it, aiohttp takes the
connection over, with what has arrived. Decision 73 has what that saves.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import cast

import structlog
from aiohttp import web

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.access import Access
from shared.internal_api.calls import ServedCall
from shared.internal_api.replies import Reply, problem
from shared.process.hang_ups import record_hang_up_at
from shared.process.metrics import observe_route
from shared.process.web import GOODBYE
from shared.trace import begin_cause, span

_CALL = re.compile(
    rb"POST (?P<path>/[a-z0-9/-]+) HTTP/1\.1\r\n"
    rb"Host: [!-~]+\r\n"
    rb"Content-Type: application/json\r\n"
    rb"Authorization: (?P<authorization>[ -~]+)\r\n"
    rb"X-Request-Id: (?P<request_id>[!-~]*)\r\n"
    rb"(?:traceparent: (?P<traceparent>[!-~]+)\r\n)?"
    rb"Content-Length: (?P<length>[0-9]{1,7})\r\n\r\n"
)
_REASONS = {200: "OK"}
_Received = tuple[ServedCall, re.Match[bytes], bytes]
"""A call with its head and its body."""

log = structlog.get_logger()


class DirectCalls:
    """The connections of one application, and how their calls are answered."""

    def __init__(
        self, app: web.Application, calls: Mapping[str, ServedCall], access: Access, max_body_bytes: int
    ) -> None:
        self._app = app
        self._access = access
        self.calls = calls
        self.max_body_bytes = max_body_bytes
        self.is_draining = False
        self.connections: set[DirectConnection] = set()

    def connection(self, http: Callable[[], asyncio.Protocol], idle_seconds: float) -> asyncio.Protocol:
        """A new connection, which ``http`` takes over when it carries something else."""
        return DirectConnection(self, http, idle_seconds)

    def withdraw(self) -> None:
        """End each connection with its next response."""
        self.is_draining = True

    async def shutdown(self, seconds: float | None) -> None:
        """Close the idle connections, wait for the calls that are being answered, and cancel those that take longer."""
        self.withdraw()
        tasks = [task for connection in set(self.connections) if (task := connection.end())]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()

    async def answer(self, call: ServedCall, head: re.Match[bytes], body: bytes) -> Reply:
        """The answer to one call. Every outcome is one."""
        started = time.perf_counter()
        traceparent = head["traceparent"]
        begin_cause(head["request_id"].decode(), [traceparent.decode()] if traceparent else [])
        endpoint = call.endpoint
        with span(endpoint.path, "server") as describe:
            reply = self._access.refuse(head["authorization"].decode(), (endpoint.allowed,), endpoint.path)
            if reply is None:
                reply = await self._reply(call, body)
            describe({"http.response.status_code": reply.status})
        observe_route("POST", endpoint.path, reply.status, time.perf_counter() - started)
        return reply

    async def _reply(self, call: ServedCall, body: bytes) -> Reply:
        try:
            return await call.reply(self._app, body)
        except Exception as error:
            log.error("request.failed", route=call.endpoint.path, exc_info=error)
            return problem(ServiceError(ErrorCode.INTERNAL))


class DirectConnection(asyncio.Protocol):
    """One connection, one call at a time. It is closed after ``idle_seconds`` without one.

    One task answers all of its calls: making one for each would cost as much as reading the call (decision 92).
    """

    def __init__(self, calls: DirectCalls, http: Callable[[], asyncio.Protocol], idle_seconds: float) -> None:
        self._calls = calls
        self._http = http
        self._idle_seconds = idle_seconds
        self._received = b""
        self._task: asyncio.Task[None] | None = None
        self._next: asyncio.Future[_Received | None]
        self._active_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.create_future()
        self._active_at = self._loop.time()
        self._timer = self._loop.call_later(self._idle_seconds, self._check_idle)
        self._calls.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if head := _CALL.match(self._received):
            record_hang_up_at(head["path"].decode(), exc or ConnectionResetError())
        self._leave()

    def data_received(self, data: bytes) -> None:
        if self._next.done():  # our client never sends a second call before the answer to the first
            self._transport.abort()
            return
        self._received += data
        head = _CALL.match(self._received)
        call = self._calls.calls.get(head["path"].decode()) if head else None
        if head is None or call is None or (length := int(head["length"])) > self._calls.max_body_bytes:
            self._hand_over()
        elif len(self._received) == head.end() + length:
            body, self._received = self._received[head.end() :], b""
            self._next.set_result((call, head, body))
            self._task = self._task or self._loop.create_task(self._answer_calls())
        elif len(self._received) > head.end() + length:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let aiohttp serve this connection from its first byte that was not answered."""
        received = self._received
        self._leave()
        http = self._http()
        self._transport.set_protocol(http)
        http.connection_made(self._transport)
        http.data_received(received)

    async def _answer_calls(self) -> None:
        """Answer one call after the other, until the connection ends or has another protocol."""
        try:
            while (received := await self._next) is not None:
                reply = await self._calls.answer(*received)
                if self._transport.is_closing():
                    return
                written = _written(reply, closes=self._calls.is_draining)
                self._next, self._active_at = self._loop.create_future(), self._loop.time()
                self._transport.write(written)
                del received, reply, written  # an idle connection keeps no call: it may have a password, or 512 KiB
                if self._calls.is_draining:
                    self._transport.close()
                    return
        except asyncio.CancelledError:
            self._transport.abort()
            raise

    def _check_idle(self) -> None:
        remaining = self._active_at + self._idle_seconds - self._loop.time()
        if not self._next.done() and remaining <= 0:
            self._transport.close()
        else:
            self._timer = self._loop.call_later(max(remaining, 1), self._check_idle)

    def end(self) -> asyncio.Task[None] | None:
        """Close the connection with last words if it is idle. Otherwise return its task, after which it closes."""
        if self._next.done():
            return self._task
        self._transport.write(GOODBYE)
        self._transport.close()
        return None

    def _leave(self) -> None:
        self._received = b""
        if not self._next.done():
            self._next.set_result(None)
        self._timer.cancel()
        self._calls.connections.discard(self)


def _written(reply: Reply, *, closes: bool) -> bytes:
    """A response with a length, and only the headers that ``upstream.py`` or a person with curl reads."""
    retry_after = "" if reply.retry_after is None else f"Retry-After: {reply.retry_after}\r\n"
    connection = "Connection: close\r\n" if closes else ""
    head = (
        f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Refused')}\r\nContent-Type: {reply.content_type}\r\n"
        f"{retry_after}{connection}Content-Length: {len(reply.body)}\r\n\r\n"
    )
    return head.encode() + reply.body
