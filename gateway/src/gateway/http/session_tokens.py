"""Where a session's token travels: the ``Authorization`` header (RFC 6750) and the ``session`` cookie."""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from aiohttp import web

SECURE_COOKIES: web.AppKey[bool] = web.AppKey("secure_cookies", bool)
TOKEN_COOKIES: web.AppKey[Sequence[str]] = web.AppKey("token_cookies", Sequence[str])
"""The names of the cookies that may hold a token: ours, and those of the backend that the users come from."""
SESSION_COOKIE = "session"
SESSION_SECONDS = 30 * 24 * 3600
"""How long an unused session lasts, and the cookie with it."""
MAX_COOKIES = 3
"""How many cookies of these names may be tried: other applications on the parent domain may set one too."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_BEARER = re.compile(r"Bearer +([\x21-\x7e]{1,4096})", re.IGNORECASE)
_VALUE = r"[A-Za-z0-9._~-]{1,4096}|[!#-+\--:<-\[\]-~]{20,4096}"
"""A token of ours or, of all characters that RFC 6265, 4.1.1 allows, one of another system, which is never shorter."""
_COOKIE = re.compile(rf"\s*({_NAME.pattern})\s*=\s*\"?({_VALUE})\"?\s*")


def token_cookies(others: Iterable[str]) -> Sequence[str]:
    """``TOKEN_COOKIES``, ours first. Raises ``ValueError`` for a name that no cookie can have."""
    names = (SESSION_COOKIE, *others)
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError("expected names of cookies such as PHPSESSID,connect.sid")
    return names


def bearer(request: web.Request) -> str | None:
    """The token of an ``Authorization: Bearer`` header (RFC 6750)."""
    match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    return match[1] if match else None


def cookies(request: web.Request) -> list[str]:
    """What may be tokens among the cookies: distinct, ours first, then the most specific first (RFC 6265, 5.4).

    Tokens of ours need no escapes; other systems escape what they write into cookies, as ``s%3A…``.

    HTTP/2 may split cookies over several headers (RFC 9113, 8.2.3), and some proxies do not join them again.
    """
    headers = request.headers.getall("Cookie", ())
    if not headers:
        return []
    names = request.app[TOKEN_COOKIES]
    pairs = [match for match in map(_COOKIE.fullmatch, ";".join(headers).split(";")) if match and match[1] in names]
    tokens = [unquote(pair[2], errors="replace") for pair in sorted(pairs, key=lambda pair: names.index(pair[1]))]
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
