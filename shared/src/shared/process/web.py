"""Running an aiohttp application: limits on requests, parser errors that quote nothing, and a clean shutdown."""

import asyncio
import contextlib
import ctypes
import errno
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog
import uvloop
from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict, CIMultiDictProxy

from shared.process.health import monitoring, withdraw_readiness
from shared.process.metrics import count_refusal, identify
from shared.process.startup import UnreachableError

log = structlog.get_logger()

DRAIN_SECONDS = 20.0
GOODBYE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""The last words on an idle connection: the server reads no request that is on its way (RFC 9110, 15.5.9)."""
KEEPALIVE_SECONDS = 75.0
"""How long an idle connection is kept unless the process says otherwise."""
MALFORMED = b'{"type":"about:blank","title":"Bad Request","status":400,"code":"parameter_invalid"}'


class _SilentHandler(RequestHandler):
    """aiohttp's connection handler, but with its own answer to a request that cannot be parsed.

    aiohttp quotes the bytes of such a request in its response and its log, and a query string may contain a code.
    """

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it quotes the request
    ) -> web.StreamResponse:
        count_refusal("malformed_http" if status < 500 else "unhandled")
        if status >= 500:
            log.error("request.unhandled", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun and cannot be replaced")
        body = MALFORMED if status < 500 else b""
        response = web.Response(status=status, body=body, content_type="application/problem+json")
        response.headers["Server"] = "haoma"
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Tell clients of a draining process to reconnect: without it, the end would cut off their next request."""
        if isinstance(self._manager, _SilentServer) and self._manager.draining:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def close(self) -> None:
        """End an idle connection with 408: its client may send again, elsewhere, what this process does not read."""
        is_idle = self._waiter is not None and not self._waiter.done() and not self._messages
        if is_idle and self.transport is not None and not self.transport.is_closing():
            self.transport.write(GOODBYE)
        super().close()


class Front(Protocol):
    """Reads the connections of an application before aiohttp does, and hands over those that it does not serve."""

    def connection(self, http: Callable[[], asyncio.Protocol], idle_seconds: float) -> asyncio.Protocol: ...
    def withdraw(self) -> None: ...
    async def shutdown(self, seconds: float | None) -> None: ...


FRONT: web.AppKey[Front] = web.AppKey("front", Front)


class _SilentServer(web.Server):
    draining = False
    front: Front | None = None

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]  # any protocol will do
        if self.front is None:
            return self._http()
        return self.front.connection(self._http, self._kwargs.get("keepalive_timeout", KEEPALIVE_SECONDS))

    def _http(self) -> RequestHandler:
        return _SilentHandler(self, loop=self._loop, **self._kwargs)

    def withdraw(self) -> None:
        """End each connection with its next response."""
        self.draining = True
        if self.front is not None:
            self.front.withdraw()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  aiohttp's name
        ended = [] if self.front is None else [self.front.shutdown(timeout)]
        await asyncio.gather(super().shutdown(timeout), *ended)


class Runner(web.AppRunner):
    """aiohttp's ``AppRunner`` with the silent connection handler."""

    def withdraw(self) -> None:
        """Fail readiness, and end each connection with its next response. New connections are still accepted."""
        withdraw_readiness(self.app)
        if isinstance(self.server, _SilentServer):
            self.server.withdraw()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        kwargs = made._kwargs  # noqa: SLF001  no other access to what AppRunner was given
        server = _SilentServer(made.request_handler, request_factory=_without_expect(made.request_factory), **kwargs)
        server.front = self.app.get(FRONT)
        return server


def _without_expect(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """Drop unknown ``Expect`` headers (RFC 9110 allows it): aiohttp would quote them in its response."""

    def make_request(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        expected = message.headers.get("Expect", "")
        if expected and expected.lower() != "100-continue":
            headers = CIMultiDict(message.headers)
            headers.popall("Expect")
            message = message._replace(headers=CIMultiDictProxy(headers))
        return make(message, *rest)

    return make_request


async def serve(
    app: web.Application,
    *,
    host: str,
    port: int | None,
    monitoring_port: int,
    keepalive_seconds: float,
    withdraw_seconds: float,
) -> None:
    """Serve until SIGTERM or SIGINT. Then answer the accepted requests and release every resource.

    Health and metrics are on ``monitoring_port``. A process without ``port`` serves nothing else.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve_until(
        stop,
        app,
        host=host,
        port=port,
        monitoring_port=monitoring_port,
        keepalive_seconds=keepalive_seconds,
        withdraw_seconds=withdraw_seconds,
    )


async def serve_until(
    stop: asyncio.Event,
    app: web.Application,
    *,
    host: str,
    port: int | None,
    monitoring_port: int,
    keepalive_seconds: float,
    withdraw_seconds: float,
) -> None:
    """Serve until ``stop`` is set. Readiness is withdrawn ``withdraw_seconds`` before the port closes."""
    runner = _runner(app, keepalive_seconds)
    monitor = _runner(monitoring(app), keepalive_seconds)
    try:
        await _until(stop, runner.setup())
        if not stop.is_set():
            if port is not None:
                await _listen(runner, host, port)
            await monitor.setup()
            await _listen(monitor, host, monitoring_port)
            _settle_memory()
            log.info("service.ready", host=host, port=port, monitoring_port=monitoring_port)
            await stop.wait()
            log.info("service.draining")
            runner.withdraw()
            await asyncio.sleep(withdraw_seconds)
    finally:
        await runner.cleanup()
        await monitor.cleanup()


def _runner(app: web.Application, keepalive_seconds: float) -> Runner:
    return Runner(
        app,
        access_log=None,
        keepalive_timeout=keepalive_seconds,
        shutdown_timeout=DRAIN_SECONDS,
        max_line_size=8190,
        max_field_size=8190,
        auto_decompress=False,  # a small compressed body could become a large one
    )


async def _listen(runner: Runner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(f"port {port} of {host} is in use: set its …_PORT to another one") from error


def _settle_memory() -> None:
    """Return unused memory to the system (13 MiB after redis-py) and exempt what is imported from the collector."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # requests leave few cycles, so collect rarely
    with contextlib.suppress(OSError, AttributeError):  # not every C library has malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run ``work``, but cancel it when ``stop`` is set, for example while it waits for a server."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        stopping.cancel()
        await task
    else:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(main: Coroutine[Any, Any, None], service: str) -> None:
    """Run the process ``service``. An unreachable server or an occupied port ends it with one line on stderr."""
    identify(service)
    try:
        uvloop.run(main)
    except (UnreachableError, OSError) as error:
        log.error("service.failed", reason=str(error))
        sys.stderr.write(f"{service} cannot run: {error}\n")
        raise SystemExit(1) from None
