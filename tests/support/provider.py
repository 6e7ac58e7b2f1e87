"""A provider of SMS as a sender meets it: a server on 127.0.0.1 that remembers and answers what it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

HTML = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: bytes
    form: dict[str, str]


@dataclass
class Provider:
    """Set ``status``, ``body`` and ``kind`` for the next answers; ``silent`` gives none at all; ``cut`` hangs up."""

    status: int = 200
    body: str = "{}"
    kind: str = "application/json"
    silent: bool = False
    cut: bool = False
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    answer: Callable[[Asked], Awaitable[web.Response]] | None = None

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def says(self, status: int, body: str, kind: str = "application/json") -> None:
        self.status, self.body, self.kind, self.silent, self.cut = status, body, kind, False, False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.asked.append(Asked(request.method, request.path, dict(request.query), request.headers, body, form))
        if self.silent:
            await asyncio.get_running_loop().create_future()
        if self.cut:
            assert request.transport is not None
            request.transport.abort()
        if self.answer is not None:
            return await self.answer(self.asked[-1])
        return web.Response(status=self.status, body=self.body.encode(), headers={"Content-Type": self.kind})


@asynccontextmanager
async def provider(**given: Any) -> AsyncIterator[Provider]:
    """A provider for as long as the block lasts."""
    made = Provider(**given)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made
