"""Where a session's token travels: the ``Authorization`` header (RFC 6750) and the ``session`` cookie."""

import re

from aiohttp import web

SECURE_COOKIES: web.AppKey[bool] = web.AppKey("secure_cookies", bool)
SESSION_COOKIE = "session"
SESSION_SECONDS = 30 * 24 * 3600
"""How long an unused session lasts, and the cookie with it."""
MAX_COOKIES = 3
"""How many cookies named ``session`` may be tried: other applications on the parent domain may set one too."""
_BEARER = re.compile(r"Bearer +([\x21-\x7e]{1,1024})", re.IGNORECASE)
_COOKIE = re.compile(r"\s*" + SESSION_COOKIE + r"\s*=\s*\"?([A-Za-z0-9._~-]{1,1024})\"?\s*")


def bearer(request: web.Request) -> str | None:
    """The token of an ``Authorization: Bearer`` header (RFC 6750)."""
    match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    return match[1] if match else None


def cookies(request: web.Request) -> list[str]:
    """What may be tokens among the cookies named ``session``: distinct, the most specific first (RFC 6265, 5.4).

    HTTP/2 may split cookies over several headers (RFC 9113, 8.2.3), and some proxies do not join them again.
    """
    headers = request.headers.getall("Cookie", ())
    if not headers:
        return []
    pairs = ";".join(headers).split(";")
    tokens = [match[1] for match in map(_COOKIE.fullmatch, pairs) if match]
    return list(dict.fromkeys(tokens))[:MAX_COOKIES]


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
