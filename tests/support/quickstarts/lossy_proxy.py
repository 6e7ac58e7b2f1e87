"""A proxy in front of the gateway that loses answers, as phones do, and counts what the client sent."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

FORWARDED = ("Authorization", "Content-Type", "Accept-Language", "Origin", "Sec-Fetch-Site")
PASSED_BACK = ("Content-Type", "Retry-After")


@dataclass
class LossyProxy:
    """``files`` are served as they are; everything else goes to the gateway.

    ``lose`` names paths: the next successful answer of each arrives nowhere. While ``is_down``, no answer arrives and no
    request does. ``sent`` counts requests by path, lost ones too.
    """

    gateway: str
    http: aiohttp.ClientSession
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    url: str = ""
    lose: set[str] = field(default_factory=set)
    is_down: bool = False
    sent: Counter[str] = field(default_factory=Counter)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path in self.files:
            content_type, text = self.files[request.path]
            return web.Response(text=text, content_type=content_type)
        self.sent[request.path] += 1
        if self.is_down:
            return self._hang_up(request)
        headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
        body = await request.read()
        async with self.http.request(request.method, self.gateway + request.path, data=body, headers=headers) as answer:
            if answer.status < 300 and request.path in self.lose:
                self.lose.remove(request.path)
                return self._hang_up(request)
            kept = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)

    def _hang_up(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


@asynccontextmanager
async def lossy_proxy(gateway: str, files: Mapping[str, tuple[str, str]] | None = None) -> AsyncIterator[LossyProxy]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        proxy = LossyProxy(gateway, http, files or {})
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        proxy.url = f"http://{host}:{port}"
        try:
            yield proxy
        finally:
            await runner.cleanup()
