"""The routes of the pages. A page is served only while the dialect that it uses is switched on."""

from collections.abc import Collection, Mapping, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.dialect import Dialect
from gateway.http.responses import redirect_to
from gateway.pages.words import WORDS
from shared.pages.site import Site

PREFIX = "/pages"
PAGES = {"register": "register_page", "login": "native", "reset": "native"}
"""The pages in the order of their menu, each with the dialect it uses."""


def mount(
    app: web.Application, dialects: Collection[Dialect], calling_codes: Sequence[str], *, tells_accounts: bool
) -> None:
    """Add the pages that use one of these dialects. ``calling_codes`` are the countries whose numbers are served.

    ``tells_accounts`` says that the answers of ``checkPhone`` tell whether a number has an account.
    """
    site = Site("gateway.pages", PREFIX, WORDS)
    values = {"countries": calling_codes, "tells_accounts": tells_accounts}
    names = {dialect.name for dialect in dialects}
    menu = [page for page, dialect in PAGES.items() if dialect in names]
    for page in menu:
        app.router.add_get(f"{PREFIX}/{page}", _page_handler(site, page, menu, values))
    if menu:
        for path in (PREFIX, f"{PREFIX}/"):
            app.router.add_get(path, redirect_to(f"{PREFIX}/{menu[0]}"))
    site.mount(app)


def _page_handler(site: Site, page: str, menu: list[str], values: Mapping[str, object]) -> Handler:
    async def show(request: web.Request) -> web.Response:
        return site.page(request, f"{page}.html", page=page, menu=menu, prefix=PREFIX, **values)

    return show
