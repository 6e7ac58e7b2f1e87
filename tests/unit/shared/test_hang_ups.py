"""Clients that hang up in their body, on real connections: counted and logged in one line, without a traceback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from gateway.http.callers import Callers
from gateway.http.session_tokens import SECURE_COOKIES
from gateway.http.web_origins import WebOrigins
from gateway.middleware import guard
from shared.internal_api.server import new_service
from shared.process.hang_ups import ABORTED
from shared.process.web import Runner

Send = Callable[[bytes, bytes], Awaitable[bytes]]
PATHS = ["/gateway", "/internal"]


async def read_all(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(text="read")


async def fail(request: web.Request) -> web.Response:
    await request.read()
    raise ConnectionResetError("a server of ours")


def apps() -> dict[str, web.Application]:
    routes = web.RouteTableDef()
    routes.post("/internal")(read_all)
    routes.post("/internal/fail")(fail)
    gateway = web.Application(middlewares=[guard([], Callers.configured((), ""), WebOrigins((), []))])
    gateway[SECURE_COOKIES] = False
    gateway.router.add_post("/gateway", read_all)
    gateway.router.add_post("/gateway/fail", fail)
    internal = new_service({}, [])
    internal.add_routes(routes)
    return {"/internal": internal, "/gateway": gateway}


@pytest.fixture
async def ports() -> AsyncIterator[dict[str, int]]:
    runners = {path: Runner(app, access_log=None) for path, app in apps().items()}
    for runner in runners.values():
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield {path: runner.addresses[0][1] for path, runner in runners.items()}
    for runner in runners.values():
        await runner.cleanup()


async def post(port: int, path: str, rest: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: test\r\n".encode() + rest)
    await writer.drain()
    return reader, writer


def aborted(path: str) -> float:
    return ABORTED.labels(path)._value.get()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("abort", [True, False])
@pytest.mark.parametrize(
    "begun",
    [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", b"Content-Length: 9\r\n\r\n"],
)
async def test_a_client_that_hangs_up_in_its_body_is_counted_and_no_error(
    ports: dict[str, int], path: str, abort: bool, begun: bytes
) -> None:
    before = aborted(path)
    with capture_logs() as logged:
        _, writer = await post(ports[path], path, begun)
        await asyncio.sleep(0.02)  # the handler must be reading
        writer.transport.abort() if abort else writer.close()
        async with asyncio.timeout(5):
            while aborted(path) == before:
                await asyncio.sleep(0.005)
    assert {line["log_level"] for line in logged} <= {"info", "debug"}
    assert not any("exc_info" in line for line in logged)


@pytest.mark.parametrize("path", PATHS)
async def test_a_lost_connection_to_a_server_of_ours_stays_an_error(ports: dict[str, int], path: str) -> None:
    before = aborted(f"{path}/fail")
    with capture_logs() as logged:
        reader, writer = await post(ports[path], f"{path}/fail", b"Content-Length: 2\r\n\r\n{}")
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert b" 500 " in head.splitlines()[0]
    assert b"Retry-After: 1" in head
    assert "request.failed" in [line["event"] for line in logged]
    assert aborted(f"{path}/fail") == before
