"""The mark of a gateway in development, so that no program takes a system that people use for one for tests."""

from aiohttp import web

DEVELOPMENT_PATH = "/development"
DEVELOPMENT_MARK = "this system is for tests\n"


def add_development_mark(app: web.Application) -> None:
    """Serve the mark. A gateway in production has no such path."""
    app.router.add_get(DEVELOPMENT_PATH, _show)


async def _show(_: web.Request) -> web.Response:
    return web.Response(text=DEVELOPMENT_MARK)
