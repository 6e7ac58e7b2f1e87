"""What a dialect is: the routes, refusals and sending rules of one contract, and the way to our flows."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from gateway.flows.composition import Flows
from gateway.flows.services import Caller
from gateway.flows.session_cache import Session
from gateway.http.body.token import token_in
from gateway.http.operations import FieldDoc, ResponseBody, Routes
from gateway.http.session_tokens import bearer, cookies
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Language
from shared.languages import language_named

FLOWS: web.AppKey[Flows] = web.AppKey("flows", Flows)
ADDRESS = web.RequestKey("address", object)
"""The user's address; the middleware sets it. None if an app's server did not tell it."""
APP = web.RequestKey("app", str)
"""The app whose server sent the request, empty for none; the middleware sets it."""


@dataclass(frozen=True)
class Dialect:
    """One contract: its routes, the paths it owns, its sending rules, and how it renders each refusal.

    ``render_error`` also gets the path, because a contract may number one refusal differently in each module; the
    body is a ``refusal``. ``cooldown`` is in seconds; ``daily_cap`` counts codes sent to one number within 24 hours.
    ``allows_master_code`` accepts the setting ``MASTER_CODE`` (development only) in place of a code.

    The documents use ``about`` (the module's docstring), ``fields`` (what each field means, by its name), ``tokens``
    (where a session's token is accepted), ``refusal_code`` (the field of a refusal with a code that clients
    rely on, if it has one) and ``for_new_apps`` (listed before the others).
    """

    name: str
    about: str | None
    routes: Routes
    owns: re.Pattern[str]
    render_error: Callable[[ServiceError, str], web.Response]
    refusal: type[ResponseBody]
    fields: Mapping[str, FieldDoc] = field(default_factory=dict)
    tokens: tuple[str, ...] = ("bearer",)
    refusal_code: str | None = None
    for_new_apps: bool = False
    cooldown: int = 60
    daily_cap: int = 10
    allows_master_code: bool = False

    def caller(self, request: web.Request, client: str = "", locale: str | None = None) -> Caller:
        """Describe the caller to the flows. The parameter ``locale`` overrides the header ``Accept-Language``."""
        address: Any = request[ADDRESS]
        named = language_named(locale or "") or language_named(request.headers.get("Accept-Language", ""))
        language = Language(named) if named else None
        return Caller(
            address,
            self.name,
            client,
            self.cooldown,
            self.daily_cap,
            language,
            allow_master_code=self.allows_master_code,
            app=request[APP],
            tokens=self._tokens_of(request),
        )

    def _tokens_of(self, request: web.Request) -> tuple[str, ...]:
        """What may be tokens of sessions in the request, where this contract accepts them."""
        in_cookies = cookies(request) if "cookie" in self.tokens else ()
        return tuple(filter(None, (bearer(request), *in_cookies)))


def mount(app: web.Application, dialects: Iterable[Dialect]) -> None:
    """Add the routes. A GET route does not answer HEAD, because some GET calls send messages."""
    for dialect in dialects:
        for route in dialect.routes:
            if route.method == "GET":
                app.router.add_get(route.path, route.handler, allow_head=False)
            else:
                app.router.add_route(route.method, route.path, route.handler)


def flows(request: web.Request) -> Flows:
    """The gateway's flows."""
    return request.app[FLOWS]


async def admit_body(request: web.Request, field: str, body: bytes) -> None:
    """Refuse to parse a long body unless its session is alive: that of the bearer token, or of a field of the body.

    Raises as ``session_of_token``.
    """
    await session_of_token(request, bearer(request) or token_in(body, request.content_type, field), field)


async def admit_bearer(request: web.Request, _: bytes) -> None:
    """Refuse to parse a long body unless the session of the bearer token is alive. Raises ``UNAUTHENTICATED``."""
    await session_of(request)


async def session_of_token(request: web.Request, token: str | None, field: str) -> Session:
    """The session of a token in a field. Raises ``PARAMETER_MISSING`` without a token, and ``UNAUTHENTICATED``."""
    if token is None:
        raise ServiceError(ErrorCode.PARAMETER_MISSING, field=field)
    return await flows(request).sessions.resolve(token)


async def session_of(request: web.Request) -> Session:
    """The session whose bearer token the request carries. Raises ``UNAUTHENTICATED``."""
    token = bearer(request)
    if token is None:
        raise ServiceError(ErrorCode.UNAUTHENTICATED)
    return await flows(request).sessions.resolve(token)
