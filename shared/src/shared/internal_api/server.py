"""The server of an internal API: the service token, ``read`` and ``reply``, and refusals as problem details."""

import asyncio
import hmac
import time
from collections.abc import Mapping
from typing import TypeVar

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import ValidationError

from shared.errors import STATUS, ErrorCode, ServiceError
from shared.internal_api.endpoint import Endpoint, WireModel
from shared.process.hang_ups import is_hang_up, record_hang_up
from shared.process.health import add_health
from shared.process.metrics import REFUSALS, observe, route_of
from shared.trace import TRACEPARENT, begin_cause

REQUEST_ID = "X-Request-Id"
PROBLEM = "application/problem+json"
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
    service_token: str,
    routes: web.RouteTableDef,
    *,
    body_bytes: int = 16_384,
    other_tokens: Mapping[str, str] | None = None,
) -> web.Application:
    """An internal application with health checks and metrics. It refuses calls to ``/v1/`` without the service token.

    ``other_tokens`` maps a path to the token that opens it instead. A path with an empty token is not checked:
    use it only for a path that has no route.
    """
    app = web.Application(middlewares=[_boundary(service_token, other_tokens or {})], client_max_size=body_bytes)
    add_health(app)
    app.add_routes(routes)
    return app


def _boundary(service_token: str, other_tokens: Mapping[str, str]) -> Middleware:
    default = f"Bearer {service_token}".encode()
    others = {path: f"Bearer {token}".encode() if token else None for path, token in other_tokens.items()}

    @web.middleware
    async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await authorized(request, handler)
        observe(request, response.status, time.perf_counter() - started)
        return response

    async def authorized(request: web.Request, handler: Handler) -> web.StreamResponse:
        begin_cause(request.headers.get(REQUEST_ID, ""), request.headers.getall(TRACEPARENT, ()))
        presented = request.headers.get("Authorization", "").encode(errors="replace")
        try:
            expected = others.get(request.path, default)
            if request.path.startswith("/v1/") and expected and not hmac.compare_digest(presented, expected):
                raise ServiceError(ErrorCode.UNAUTHENTICATED)
            return await handler(request)
        except ServiceError as error:
            REFUSALS.labels(error.code.value).inc()
            return problem(error)
        except web.HTTPException as error:
            return problem(ServiceError(_HTTP_CODES.get(error.status, ErrorCode.PARAMETER_INVALID)))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  the last resort: every outcome must be a refusal
            return problem(_unexpected(error, request))

    return measured


def _unexpected(error: Exception, request: web.Request) -> ServiceError:
    if is_hang_up(error, request):
        record_hang_up(error, request)
        return ServiceError(ErrorCode.PARAMETER_INVALID)
    log.error("request.failed", route=route_of(request), exc_info=error)
    return ServiceError(ErrorCode.INTERNAL)
