"""/docs: a page for each contract and one for the events, in the reader's language, all from our own host."""

import asyncio
import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from markupsafe import Markup, escape

from gateway.documents import contents, view, viewer
from gateway.documents.schemas import Json
from gateway.documents.words import WORDS
from shared.pages.site import Site, reader_language

PREFIX = "/docs"


@dataclass(frozen=True)
class RenderedPage:
    """A page in one language, uncompressed and compressed."""

    body: bytes
    gzipped: bytes
    headers: dict[str, str]


class DocumentsPages:
    """Renders each page once for each language, in a thread, at its first request."""

    def __init__(
        self, contracts: Sequence[str], openapi: Callable[[], Json], asyncapi: Callable[[], Json], cache: str
    ) -> None:
        self._cache = cache
        self._contracts = contracts
        self._openapi = openapi
        self._asyncapi = asyncapi
        self._site = Site("gateway.documents", PREFIX, WORDS)
        self._rendered: dict[tuple[str, str], RenderedPage] = {}

    def mount(self, app: web.Application) -> None:
        """Add the pages and their static files. ``/docs`` is the page of the first contract."""
        pages = dict.fromkeys(self._contracts, "contract.html") | {"events": "events.html"}
        for name, template in pages.items():
            app.router.add_get(f"{PREFIX}/{name}", self._handler(name, template))
        app.router.add_get(PREFIX, self._handler(*next(iter(pages.items()))))
        viewer.mount(app, f"{PREFIX}/viewer")
        self._site.mount(app)

    @cached_property
    def _groups(self) -> list[contents.Group]:
        return [*contents.contracts(self._openapi()), contents.events(self._asyncapi())]

    def _handler(self, name: str, template: str) -> Handler:
        async def serve(request: web.Request) -> web.Response:
            language = reader_language(request)
            if (name, language) not in self._rendered:
                plain = request.clone(rel_url=f"{PREFIX}/{name}?lang={language}")
                self._rendered[name, language] = await asyncio.to_thread(self._render, plain, name, template)
            rendered = self._rendered[name, language]
            if "gzip" in request.headers.get("Accept-Encoding", ""):
                return web.Response(body=rendered.gzipped, headers={**rendered.headers, "Content-Encoding": "gzip"})
            return web.Response(body=rendered.body, headers=rendered.headers)

        return serve

    def _render(self, request: web.Request, name: str, template: str) -> RenderedPage:
        """Render a page for all readers of one language. Only the language of the request matters."""
        page = self._site.page(request, template, **self._values(name))
        page.headers.update({"Cache-Control": self._cache, "Vary": "Accept-Language, Accept-Encoding"})
        body = (page.text or "").encode()
        return RenderedPage(body, gzip.compress(body), dict(page.headers))

    def _values(self, name: str) -> Mapping[str, Any]:
        values = {"name": name, "prefix": PREFIX, "groups": self._groups}
        if name != "events":
            return values
        document = self._asyncapi()
        about, events = document["info"]["description"], [*view.events(document)]
        return {**values, "about": about, "events": events, "rich": rich}


def rich(text: str) -> Markup:
    """Render the subset of CommonMark that our descriptions use: paragraphs, lists, code, strong."""
    blocks = []
    for block in text.strip().split("\n\n"):
        items = re.split(r"^\* ", block, flags=re.MULTILINE)[1:]
        inner = Markup().join(Markup("<li>{}</li>").format(_inline(item)) for item in items)
        blocks.append(Markup("<ul>{}</ul>").format(inner) if items else Markup("<p>{}</p>").format(_inline(block)))
    return Markup().join(blocks)


def _inline(text: str) -> Markup:
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", code))  # noqa: S704  escaped just above
