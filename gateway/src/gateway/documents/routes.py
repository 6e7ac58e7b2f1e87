"""The routes of the documents."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from functools import cache, partial

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.dialect import Dialect
from gateway.documents.asyncapi import asyncapi
from gateway.documents.openapi import in_order, openapi, openapi_of
from gateway.documents.page import PREFIX, DocumentsPages
from gateway.documents.schemas import Json
from gateway.http.responses import redirect_to
from shared.process.version import VERSION

CACHE = "public, max-age=300"


def mount(app: web.Application, dialects: Sequence[Dialect]) -> None:
    """Add the documents of these dialects: one of all, and one of each. A start makes none of them."""
    calls, events = cache(partial(openapi, dialects, VERSION)), cache(partial(asyncapi, VERSION))
    app.router.add_get("/openapi.json", _json_handler(calls))
    app.router.add_get("/asyncapi.json", _json_handler(events))
    for dialect in dialects:
        app.router.add_get(f"/openapi/{dialect.name}.json", _json_handler(partial(openapi_of, dialect, VERSION)))
    DocumentsPages([dialect.name for dialect in in_order(dialects)], calls, events, CACHE).mount(app)
    app.router.add_get("/", redirect_to(PREFIX))


def _json_handler(document: Callable[[], Json]) -> Handler:
    """Serve a document, which a thread makes for the first request: it takes a tenth of a second."""
    made: list[tuple[bytes, dict[str, str]]] = []

    def rendered() -> tuple[bytes, dict[str, str]]:
        body = orjson.dumps(document())
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        return body, {"Cache-Control": CACHE, "ETag": tag, "Access-Control-Allow-Origin": "*"}

    async def serve(request: web.Request) -> web.Response:
        if not made:
            made.append(await asyncio.to_thread(rendered))
        body, headers = made[0]
        unchanged = headers["ETag"] in request.headers.get("If-None-Match", "")
        response = web.Response(status=304) if unchanged else web.Response(body=body, content_type="application/json")
        response.headers.update(headers)
        return response

    return serve
