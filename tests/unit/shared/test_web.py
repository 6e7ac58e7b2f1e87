"""The end of a process: readiness first, then every connection ends with an answer that says so."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from shared.process.health import add_health
from shared.process.web import serve_until


class Process:
    """A served application whose end the test decides. ``/slow`` answers when ``release`` is set."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.stop, self.started, self.release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(self, _: web.Request) -> web.Response:
        self.started.set()
        await self.release.wait()
        return web.Response(text="finished")

    def app(self) -> web.Application:
        app = web.Application()
        add_health(app)
        app.router.add_get("/slow", self.slow)
        return app

    async def listening(self) -> None:
        async with asyncio.timeout(10):
            while True:
                try:
                    (await asyncio.open_connection("127.0.0.1", self.port))[1].close()
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    return


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    process = Process()
    serving = asyncio.create_task(
        serve_until(
            process.stop,
            process.app(),
            host="127.0.0.1",
            port=process.port,
            keepalive_seconds=30,
            withdraw_seconds=60,
        )
    )
    await process.listening()
    yield process
    process.release.set()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_while_it_serves_connections_stay_open(process: Process) -> None:
    async with aiohttp.ClientSession() as client, client.get(f"{process.url}/readyz") as response:
        assert (response.status, response.headers.get("Connection")) == (200, None)


async def test_a_draining_process_is_not_ready_and_closes_each_connection_with_its_response(process: Process) -> None:
    async with aiohttp.ClientSession() as client:
        waiting = asyncio.create_task(client.get(f"{process.url}/slow"))
        await process.started.wait()
        process.stop.set()
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while True:
                async with client.get(f"{process.url}/readyz") as probe:
                    checks = (await probe.json())["checks"]
                    if probe.status == 503:
                        break
        assert probe.headers["Connection"] == "close"
        assert checks == {"accepting": "failed"}

        process.release.set()
        async with await waiting as response:
            assert (response.status, response.headers["Connection"]) == (200, "close")
            assert await response.text() == "finished"
