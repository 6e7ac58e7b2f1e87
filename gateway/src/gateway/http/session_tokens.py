"""Where a session's token travels: the ``Authorization`` header (RFC 6750) and the ``session`` cookie."""

import re

from aiohttp import web

SECURE_COOKIES: web.AppKey[bool] = web.AppKey("secure_cookies", bool)
SESSION_COOKIE = "session"
SESSION_SECONDS = 30 * 24 * 3600
"""How long an unused session lasts, and the cookie with it."""
_BEARER = re.compile(r"Bearer +([\x21-\x7e]{1,1024})", re.IGNORECASE)


def bearer(request: web.Request) -> str | None:
    """The token of an ``Authorization: Bearer`` header (RFC 6750)."""
    match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    return match[1] if match else None


def cookie(request: web.Request) -> str | None:
    """The token of the ``session`` cookie."""
    return request.cookies.get(SESSION_COOKIE) or None


def add_token(request: web.Request, response: web.Response, token: str) -> None:
    """Add a session's token to a response: as a header, and as a cookie that scripts cannot read."""
    response.headers["Authorization"] = f"Bearer {token}"
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=SESSION_SECONDS,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=request.app[SECURE_COOKIES],
    )
