"""Swagger UI, served from the files of the package ``offapi`` (decision 48)."""

import asyncio
import gzip
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution, version
from pathlib import Path

from aiohttp import web

from shared.pages.site import HEADERS, KINDS

PACKAGE = "offapi"
FILES = {"swagger-ui.js": "swagger_bundle.js", "swagger-ui.css": "swagger_style.css"}
"""The names under which we serve files of the package. Its templates are not used: they have inline scripts."""


@dataclass(frozen=True)
class ViewerFile:
    """One file, uncompressed and compressed."""

    body: bytes
    gzipped: bytes


def mount(app: web.Application, prefix: str) -> None:
    """Serve the files below ``prefix``. Each is read and compressed once, in a thread, at its first request."""
    app.router.add_get(prefix + "/{name}", _serve)


async def _serve(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in FILES:
        raise web.HTTPNotFound
    etag = f'"{PACKAGE}-{version(PACKAGE)}"'
    headers = {**HEADERS, "ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    file = await asyncio.to_thread(_read, name)
    headers["Content-Type"] = KINDS[name.rpartition(".")[2]]
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=file.gzipped, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=file.body, headers=headers)


@cache
def _read(name: str) -> ViewerFile:
    # Importing the package would read all its viewers, 9 MB.
    body = Path(str(distribution(PACKAGE).locate_file(f"{PACKAGE}/{FILES[name]}"))).read_bytes()
    return ViewerFile(body, gzip.compress(body))
