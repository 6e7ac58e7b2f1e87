"""The seam between a contract's wire and our flows: what a dialect is, and what it may use."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

import orjson
from aiohttp import web
from pydantic import BaseModel, StringConstraints

from gateway.flows import Caller, Flows
from gateway.operations import Answer, Routes
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Resolved
from shared.internal_api.sms import Language
from shared.languages import language_named

Text = Annotated[str, StringConstraints(min_length=1)]
"""A required text of a contract; whether it is a number, a code or a password is judged elsewhere."""

Client = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,32}$")]
"""What a client calls itself: 1 to 32 characters, kept as the session's client."""

FLOWS: web.AppKey[Flows] = web.AppKey("flows", Flows)
SECURE_COOKIES: web.AppKey[bool] = web.AppKey("secure_cookies", bool)
ADDRESS = web.RequestKey("address", object)
SESSION_COOKIE = "session"
SESSION_SECONDS = 30 * 24 * 3600
"""How long a session lasts that nobody uses."""
_BEARER = re.compile(r"Bearer +([\x21-\x7e]{1,1024})", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """One contract: its routes, the paths that are its own, its sending rules, and how it says each refusal.

    ``render_error`` gets the path too, because a contract may number the same refusal differently per module; its
    body is a ``refusal``. ``cooldown`` is in seconds; ``daily_cap`` counts sends to one number in a rolling 24 hours.
    For the documents: ``about`` is the module's docstring, ``examples`` has a value for each field by its name, and
    ``tokens`` are the places where a session's token may come in.
    """

    name: str
    about: str | None
    routes: Routes
    owns: re.Pattern[str]
    render_error: Callable[[ServiceError, str], web.Response]
    refusal: type[Answer]
    examples: Mapping[str, Any] = field(default_factory=dict)
    tokens: tuple[str, ...] = ("bearer",)
    cooldown: int = 60
    daily_cap: int = 10

    def caller(self, request: web.Request, client: str = "", locale: str | None = None) -> Caller:
        """Who is calling, as the flows want to know it. What a call says of its ``locale`` comes before its header."""
        address: Any = request[ADDRESS]
        named = language_named(locale or "") or language_named(request.headers.get("Accept-Language", ""))
        language = Language(named) if named else None
        return Caller(address, self.name, client, self.cooldown, self.daily_cap, language)


def mount(app: web.Application, dialects: Iterable[Dialect]) -> None:
    """Add the routes. A GET never answers HEAD: some of them send messages."""
    for dialect in dialects:
        for route in dialect.routes:
            if route.method == "GET":
                app.router.add_get(route.path, route.handler, allow_head=False)
            else:
                app.router.add_route(route.method, route.path, route.handler)


def flows(request: web.Request) -> Flows:
    """What the gateway can do."""
    return request.app[FLOWS]


def bearer(request: web.Request) -> str | None:
    """The token of an ``Authorization: Bearer`` header (RFC 6750)."""
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    return found[1] if found else None


def cookie(request: web.Request) -> str | None:
    """The token of the ``session`` cookie."""
    return request.cookies.get(SESSION_COOKIE) or None


async def session_of(request: web.Request) -> Resolved:
    """Whose call this is, by its bearer token. Raises ``UNAUTHENTICATED``."""
    token = bearer(request)
    if token is None:
        raise ServiceError(ErrorCode.UNAUTHENTICATED)
    return await flows(request).session(token)


def id_in_path(request: web.Request) -> UUID:
    """The ``{id}`` of a path. Raises ``NOT_FOUND`` for what can be none."""
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise ServiceError(ErrorCode.NOT_FOUND) from None


def hand_token(request: web.Request, response: web.Response, token: str) -> None:
    """Give a session's token in the two places where ``bearer`` and ``cookie`` look, out of reach of scripts."""
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


def refuse_prefetch(request: web.Request) -> None:
    """Turn away a GET that no person asked for: a browser's prefetch, or an image on somebody else's page."""
    headers = request.headers
    purpose = headers.get("Sec-Purpose", "") + headers.get("Purpose", "")
    if request.method == "GET" and ("prefetch" in purpose or headers.get("Sec-Fetch-Site") == "cross-site"):
        raise ServiceError(ErrorCode.PARAMETER_INVALID)


def json_response(body: object, *, status: int = 200, error: ServiceError | None = None) -> web.Response:
    """A JSON answer; a refusal brings its ``Retry-After``."""
    raw = body.model_dump_json(by_alias=True).encode() if isinstance(body, BaseModel) else orjson.dumps(body)
    headers = {}
    if error is not None and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, error.retry_after))
    return web.Response(body=raw, status=status, content_type="application/json", headers=headers)
