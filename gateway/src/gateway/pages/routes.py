"""Where the pages are. Each is a client of one contract, and is there only while the gateway speaks that contract."""

from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.pages.words import WORDS
from shared.pages.site import Site

PREFIX = "/pages"
PAGES = {"register": "register_page", "login": "native", "reset": "native"}
"""The pages in the order of their menu, and the contract each of them speaks."""


def mount(app: web.Application, dialects: Collection[str]) -> None:
    """Add the pages whose dialect is switched on, named in ``dialects``."""
    site = Site("gateway.pages", PREFIX, WORDS)
    menu = [page for page, dialect in PAGES.items() if dialect in dialects]
    for page in menu:
        app.router.add_get(f"{PREFIX}/{page}", _shows(site, page, menu))
    site.mount(app)


def _shows(site: Site, page: str, menu: list[str]) -> Handler:
    async def show(request: web.Request) -> web.Response:
        return site.page(request, f"{page}.html", page=page, menu=menu, prefix=PREFIX)

    return show
