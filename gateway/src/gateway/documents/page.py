"""/docs: both documents as one page, in the reader's language, without resources from other hosts."""

import gzip
import re
from dataclasses import dataclass

from aiohttp import web
from markupsafe import Markup, escape

from gateway.documents import view
from gateway.documents.schemas import Json
from gateway.documents.words import WORDS
from shared.pages.site import Site, reader_language

PREFIX = "/docs"


@dataclass(frozen=True)
class RenderedPage:
    """The page in one language, uncompressed and compressed."""

    body: bytes
    gzipped: bytes
    headers: dict[str, str]


class DocumentsPage:
    """Renders the page once for each language, on the first request."""

    def __init__(self, openapi: Json, asyncapi: Json, cache: str) -> None:
        self._cache = cache
        self._openapi = openapi
        self._asyncapi = asyncapi
        self._site = Site("gateway.documents", PREFIX, WORDS)
        self._rendered: dict[str, RenderedPage] = {}

    def mount(self, app: web.Application) -> None:
        """Add the page and its static files."""
        app.router.add_get(PREFIX, self._serve)
        self._site.mount(app)

    async def _serve(self, request: web.Request) -> web.Response:
        language = reader_language(request)
        if language not in self._rendered:
            self._rendered[language] = self._render(request.clone(rel_url=f"{PREFIX}?lang={language}"))
        rendered = self._rendered[language]
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=rendered.gzipped, headers={**rendered.headers, "Content-Encoding": "gzip"})
        return web.Response(body=rendered.body, headers=rendered.headers)

    def _render(self, request: web.Request) -> RenderedPage:
        """Render the page for all readers of one language. Only the language of the request matters."""
        page = self._site.page(
            request,
            "docs.html",
            about=self._openapi["info"]["description"],
            contracts=[*view.contracts(self._openapi)],
            about_events=self._asyncapi["info"]["description"],
            events=[*view.events(self._asyncapi)],
            rich=rich,
            inline=inline,
        )
        page.headers.update({"Cache-Control": self._cache, "Vary": "Accept-Language, Accept-Encoding"})
        body = (page.text or "").encode()
        return RenderedPage(body, gzip.compress(body), dict(page.headers))


def rich(text: str) -> Markup:
    """Render the subset of CommonMark that our descriptions use: paragraphs, lists, code, strong."""
    blocks = []
    for block in text.strip().split("\n\n"):
        items = re.split(r"^\* ", block, flags=re.MULTILINE)[1:]
        inner = Markup().join(Markup("<li>{}</li>").format(inline(item)) for item in items)
        blocks.append(Markup("<ul>{}</ul>").format(inner) if items else Markup("<p>{}</p>").format(inline(block)))
    return Markup().join(blocks)


def inline(text: str) -> Markup:
    """Render one block: code and strong."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", code))  # noqa: S704  escaped just above
