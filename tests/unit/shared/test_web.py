"""The end of a process: readiness first, then every connection ends with an answer that says so."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from stack import ports

from shared.process.health import add_checks, add_public_probe
from shared.process.web import serve_until


class Process:
    """A served application whose end the test decides. ``/slow`` answers when ``release`` is set."""

    def __init__(self) -> None:
        self.port, self.monitoring_port = ports.free_port(), ports.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.monitoring_url = f"http://127.0.0.1:{self.monitoring_port}"
        self.stop, self.started, self.release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(self, _: web.Request) -> web.Response:
        self.started.set()
        await self.release.wait()
        return web.Response(text="finished")

    def app(self) -> web.Application:
        app = web.Application()
        add_checks(app)
        add_public_probe(app)
        app.router.add_get("/slow", self.slow)
        return app

    async def listening(self) -> None:
        async with asyncio.timeout(10):
            while True:
                try:
                    (await asyncio.open_connection("127.0.0.1", self.monitoring_port))[1].close()
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    return

    def serve(self, *, withdraw_seconds: float) -> asyncio.Task[None]:
        return asyncio.create_task(
            serve_until(
                self.stop,
                self.app(),
                host="127.0.0.1",
                port=self.port,
                monitoring_port=self.monitoring_port,
                keepalive_seconds=30,
                withdraw_seconds=withdraw_seconds,
            )
        )


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    process = Process()
    serving = process.serve(withdraw_seconds=60)
    await process.listening()
    yield process
    process.release.set()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_while_it_serves_connections_stay_open(process: Process) -> None:
    async with aiohttp.ClientSession() as client, client.get(f"{process.url}/livez") as response:
        assert (response.status, response.headers.get("Connection")) == (200, None)


async def test_a_draining_process_is_not_ready_and_closes_each_connection_with_its_response(process: Process) -> None:
    async with aiohttp.ClientSession() as client:
        waiting = asyncio.create_task(client.get(f"{process.url}/slow"))
        await process.started.wait()
        process.stop.set()
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while True:
                async with client.get(f"{process.monitoring_url}/readyz") as ready:
                    checks = (await ready.json())["checks"]
                    if ready.status == 503:
                        break
        assert checks == {"accepting": "failed"}
        async with client.get(f"{process.url}/livez") as probe:
            assert (probe.status, await probe.text(), probe.headers["Connection"]) == (503, "draining\n", "close")
        async with client.get(f"{process.monitoring_url}/livez") as alive:
            assert alive.status == 200

        process.release.set()
        async with await waiting as response:
            assert (response.status, response.headers["Connection"]) == (200, "close")
            assert await response.text() == "finished"


async def test_at_the_end_an_idle_connection_gets_last_words_that_say_nothing_more_is_read() -> None:
    process = Process()
    serving = process.serve(withdraw_seconds=0)
    await process.listening()
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"200 OK" in await reader.readuntil(b"ok\n")
    process.stop.set()
    async with asyncio.timeout(10):
        last_words = await reader.read()
    writer.close()
    await serving
    assert last_words == b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
async def test_health_and_metrics_are_on_the_monitoring_port_alone(process: Process, path: str) -> None:
    async with aiohttp.ClientSession() as client:
        for method in ("GET", "HEAD"):
            async with client.request(method, process.monitoring_url + path) as monitored:
                assert monitored.status == 200
            async with client.request(method, process.url + path) as public:
                assert public.status == 404
        async with client.get(f"{process.monitoring_url}/slow") as other:
            assert other.status == 404


async def test_a_process_without_a_port_serves_its_monitoring_port_alone() -> None:
    worker = Process()
    serving = asyncio.create_task(
        serve_until(
            worker.stop,
            worker.app(),
            host="127.0.0.1",
            port=None,
            monitoring_port=worker.monitoring_port,
            keepalive_seconds=30,
            withdraw_seconds=0,
        )
    )
    await worker.listening()
    async with aiohttp.ClientSession() as client, client.get(f"{worker.monitoring_url}/readyz") as ready:
        assert ready.status == 200
    with pytest.raises(OSError, match=str(worker.port)):
        await asyncio.open_connection("127.0.0.1", worker.port)
    worker.stop.set()
    await serving
