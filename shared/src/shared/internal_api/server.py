"""The server of an internal API: who may call what, ``read`` and ``reply``, and refusals as problem details."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TypeVar

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import SecretStr, ValidationError

from shared.errors import STATUS, ErrorCode, ServiceError
from shared.internal_api.endpoint import PING, AnyEndpoint, Empty, Endpoint, WireModel
from shared.internal_api.principals import CALL_NOT_ALLOWED, UNKNOWN_TOKEN, Principal, PrincipalTokens
from shared.process.hang_ups import is_hang_up, record_hang_up
from shared.process.health import add_checks
from shared.process.metrics import count_refusal, observe, route_of
from shared.trace import TRACEPARENT, begin_cause, span

REQUEST_ID = "X-Request-Id"
PROBLEM = "application/problem+json"
ENDPOINTS: web.AppKey[dict[str, AnyEndpoint]] = web.AppKey("endpoints", dict[str, AnyEndpoint])
"""What an application serves, by path."""
_HTTP_CODES = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}

RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)

log = structlog.get_logger()


async def read(request: web.Request, endpoint: Endpoint[RequestT, ResponseT]) -> RequestT:
    """The request model in a body. Raises ``ServiceError(PARAMETER_INVALID)`` with the name of the first bad field."""
    try:
        return endpoint.request.model_validate_json(await request.read())
    except ValidationError as error:
        location = error.errors(include_input=False, include_url=False, include_context=False)[0]["loc"]
        raise ServiceError(ErrorCode.PARAMETER_INVALID, field=".".join(map(str, location))) from None


def reply(response: WireModel) -> web.Response:
    """A response model as JSON."""
    return web.Response(body=response.model_dump_json().encode(), content_type="application/json")


def problem(error: ServiceError) -> web.Response:
    """A refusal as problem details (RFC 9457), with a stable ``code`` and what else the refusal has."""
    status = STATUS[error.code]
    document: dict[str, object] = {"type": "about:blank", "title": error.code.value, "status": status}
    document["code"] = error.code.value
    headers = {}
    if error.retry_after is not None:
        document["retry_after"] = error.retry_after
        headers["Retry-After"] = str(error.retry_after)
    if error.field:
        document["field"] = error.field
    if error.tries_left is not None:
        document["tries_left"] = error.tries_left
    if error.is_limited:
        document["is_limited"] = True
    return web.Response(body=orjson.dumps(document), status=status, content_type=PROBLEM, headers=headers)


def new_service(
    tokens: Mapping[Principal, SecretStr | None], apis: Iterable[ModuleType], *, body_bytes: int = 16_384
) -> web.Application:
    """An internal application with health checks, which serves the modules ``apis`` (``add_api``).

    It also serves ``PING``. It refuses an endpoint to every principal but the one that it allows, and a route of
    ``/v1/`` without an endpoint to all. Whether a path of ``/v1/`` exists it tells only to those who have a token.
    """
    app = web.Application(middlewares=[_boundary(PrincipalTokens(tokens))], client_max_size=body_bytes)
    app[ENDPOINTS] = {}
    add_checks(app)
    app[ENDPOINTS][PING.path] = PING
    app.router.add_post(PING.path, _answer_ping)
    for api in apis:
        add_api(app, api)
    return app


def add_api(app: web.Application, api: ModuleType) -> None:
    """Serve a module's ``routes``, and the endpoints that it names: each route that takes a token has one."""
    app[ENDPOINTS] |= {value.path: value for value in vars(api).values() if isinstance(value, Endpoint)}
    app.add_routes(api.routes)


async def _answer_ping(request: web.Request) -> web.Response:
    await read(request, PING)
    return reply(Empty())


def _boundary(tokens: PrincipalTokens) -> Middleware:
    @web.middleware
    async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        begin_cause(request.headers.get(REQUEST_ID, ""), request.headers.getall(TRACEPARENT, ()))
        with span(route_of(request), "server") as describe:
            response = _refuse_principal(request, tokens) or await _answered(request, handler)
            describe({"http.response.status_code": response.status})
        observe(request, response.status, time.perf_counter() - started)
        return response

    return measured


def _refuse_principal(request: web.Request, tokens: PrincipalTokens) -> web.Response | None:
    """401 for an unknown token, 403 for the token of another principal; None if the call is allowed.

    Neither is an ``ErrorCode``, so that no contract tells a user to log in again (``TokenRefusedError``).
    """
    endpoint = request.app[ENDPOINTS].get(request.path) if request.method == "POST" else None
    if endpoint is None and not request.path.startswith("/v1/"):
        return None
    principal = tokens.principal_of(request.headers.get("Authorization", ""))
    if principal is None:
        return _refusal(request, 401, UNKNOWN_TOKEN, principal)
    is_served = request.match_info.route.resource is not None  # otherwise it is not found, or not with this method
    if is_served and (endpoint is None or principal is not endpoint.allowed):
        return _refusal(request, 403, CALL_NOT_ALLOWED, principal)
    return None


def _refusal(request: web.Request, status: int, code: str, principal: Principal | None) -> web.Response:
    count_refusal(code, route_of(request))
    log.warning("internal_call.refused", code=code, principal=principal, route=route_of(request))
    body = orjson.dumps({"type": "about:blank", "title": code, "status": status, "code": code})
    return web.Response(body=body, status=status, content_type=PROBLEM)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ServiceError as error:
        count_refusal(error.code.value, route_of(request))
        return problem(error)
    except web.HTTPException as error:
        return problem(ServiceError(_HTTP_CODES.get(error.status, ErrorCode.PARAMETER_INVALID)))
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  the last resort: every outcome must be a refusal
        return problem(_unexpected(error, request))


def _unexpected(error: Exception, request: web.Request) -> ServiceError:
    if is_hang_up(error, request):
        record_hang_up(error, request)
        return ServiceError(ErrorCode.PARAMETER_INVALID)
    log.error("request.failed", route=route_of(request), exc_info=error)
    return ServiceError(ErrorCode.INTERNAL)
