"""What differs between a gateway in production and one in development: its cookies, and the mark of a system for tests.

The mark keeps programs from taking a system that people use for one for tests.
"""

from collections.abc import Iterable

from aiohttp import web

from gateway.http.session_tokens import SECURE_COOKIES, TOKEN_COOKIES, token_cookies
from shared.process.settings import Environment

DEVELOPMENT_PATH = "/development"
DEVELOPMENT_MARK = "this system is for tests\n"


def add_environment(app: web.Application, environment: Environment, session_cookies: Iterable[str]) -> None:
    """Set what cookies are like, and serve the mark in development. ``session_cookies`` are further names."""
    app[SECURE_COOKIES] = environment is Environment.PRODUCTION
    app[TOKEN_COOKIES] = token_cookies(session_cookies)
    if environment is Environment.DEVELOPMENT:
        app.router.add_get(DEVELOPMENT_PATH, _show_mark)


async def _show_mark(_: web.Request) -> web.Response:
    return web.Response(text=DEVELOPMENT_MARK)
