"""An SMS provider for tests: a server on 127.0.0.1 that records requests and responds as it is set up to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

HTML = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class ProviderRequest:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: bytes
    form: dict[str, str]


@dataclass
class Provider:
    """``status``, ``body`` and ``content_type`` are the next responses; ``silent`` never responds, ``cut`` hangs up."""

    status: int = 200
    body: str = "{}"
    content_type: str = "application/json"
    silent: bool = False
    cut: bool = False
    requests: list[ProviderRequest] = field(default_factory=list)
    url: str = ""
    respond: Callable[[ProviderRequest], Awaitable[web.Response]] | None = None

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def responds(self, status: int, body: str, content_type: str = "application/json") -> None:
        self.status, self.body, self.content_type, self.silent, self.cut = status, body, content_type, False, False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        form = {key: str(value) for key, value in (await request.post()).items()}
        received = ProviderRequest(request.method, request.path, dict(request.query), request.headers, body, form)
        self.requests.append(received)
        if self.silent:
            await asyncio.get_running_loop().create_future()
        if self.cut:
            assert request.transport is not None
            request.transport.abort()
        if self.respond is not None:
            return await self.respond(received)
        return web.Response(status=self.status, body=self.body.encode(), headers={"Content-Type": self.content_type})


@asynccontextmanager
async def provider(**settings: Any) -> AsyncIterator[Provider]:
    """A provider that runs for as long as the block lasts."""
    service = Provider(**settings)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.handle)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        service.url = str(server.make_url("")).rstrip("/")
        yield service
