"""Calls between our own processes: ``ask`` on one side; ``read``, ``reply`` and refusals on the other."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import ValidationError

from shared.errors import STATUS, ErrorCode, ServiceError, unavailable
from shared.health import add_health
from shared.internal_api.endpoint import Endpoint, WireModel
from shared.metrics import REFUSALS, observe, route_of
from shared.upstream import Upstream, upstream

REQUEST_ID = "X-Request-Id"
PROBLEM = "application/problem+json"
UPSTREAM_SECONDS = 4.0
"""The most one call may take. Below 5 s, in which every contract promises its answer to an outage."""

RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)

log = structlog.get_logger()


class InternalClient:
    """Another of our services, as a place to ask."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def call(self, endpoint: Endpoint[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Put a question. Raises the ``ServiceError`` the other side raised, or ``UNAVAILABLE``. Never retried."""
        request_id = structlog.contextvars.get_contextvars().get("request_id", "")
        body = request.model_dump_json().encode()
        try:
            async with asyncio.timeout(UPSTREAM_SECONDS):
                status, answer = await self._upstream.post(endpoint.path, body, request_id)
        except (TimeoutError, OSError) as error:
            log.warning("peer.unreachable", path=endpoint.path, error=type(error).__name__)
            raise unavailable() from error
        if status != 200:
            raise _refusal(answer, endpoint.path, status)
        return endpoint.response.model_validate_json(answer)


@asynccontextmanager
async def internal_client(url: str, service_token: str) -> AsyncIterator[InternalClient]:
    """A service to ask, with connections that last as long as the block."""
    async with upstream(url, {"Authorization": f"Bearer {service_token}"}) as opened:
        yield InternalClient(opened)


def _refusal(body: bytes, path: str, status: int) -> ServiceError:
    try:
        problem = orjson.loads(body)
        code = ErrorCode(problem["code"])
    except (ValueError, LookupError, TypeError):
        log.warning("peer.nonsense", path=path, status=status)
        return unavailable()
    return ServiceError(code, retry_after=problem.get("retry_after"), field=problem.get("field"))


async def read(request: web.Request, endpoint: Endpoint[RequestT, ResponseT]) -> RequestT:
    """The question in a request. Raises ``ServiceError(PARAMETER_INVALID)`` naming the first bad field."""
    try:
        return endpoint.request.model_validate_json(await request.read())
    except ValidationError as error:
        where = error.errors(include_input=False, include_url=False, include_context=False)[0]["loc"]
        raise ServiceError(ErrorCode.PARAMETER_INVALID, field=".".join(map(str, where))) from None


def reply(answer: WireModel) -> web.Response:
    """An answer as JSON."""
    return web.Response(body=answer.model_dump_json().encode(), content_type="application/json")


def problem(error: ServiceError) -> web.Response:
    """A refusal as RFC 9457 problem details: a stable ``code``, and ``retry_after`` in seconds where it has one."""
    status = STATUS[error.code]
    document: dict[str, object] = {"type": "about:blank", "title": error.code.value, "status": status}
    document["code"] = error.code.value
    headers = {}
    if error.retry_after is not None:
        document["retry_after"] = error.retry_after
        headers["Retry-After"] = str(error.retry_after)
    if error.field:
        document["field"] = error.field
    return web.Response(body=orjson.dumps(document), status=status, content_type=PROBLEM, headers=headers)


def new_service(
    service_token: str,
    routes: web.RouteTableDef,
    *,
    body_bytes: int = 16_384,
    other_tokens: Mapping[str, str] | None = None,
) -> web.Application:
    """An internal application: measured, refused without the token, every outcome a reply or a problem.

    ``other_tokens`` are those of paths that another token opens instead; an empty one guards a path without a route.
    """
    app = web.Application(middlewares=[_answer(service_token, other_tokens or {})], client_max_size=body_bytes)
    add_health(app)
    app.add_routes(routes)
    return app


def _answer(service_token: str, other_tokens: Mapping[str, str]) -> Middleware:
    expected = f"Bearer {service_token}".encode()
    others = {path: f"Bearer {token}".encode() if token else None for path, token in other_tokens.items()}

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await judge(request, handler)
        observe(request, response.status, time.perf_counter() - started)
        return response

    async def judge(request: web.Request, handler: Handler) -> web.StreamResponse:
        structlog.contextvars.bind_contextvars(request_id=request.headers.get(REQUEST_ID, ""))
        given = request.headers.get("Authorization", "").encode(errors="replace")
        try:
            wanted = others.get(request.path, expected)
            if request.path.startswith("/v1/") and wanted and not hmac.compare_digest(given, wanted):
                raise ServiceError(ErrorCode.UNAUTHENTICATED)
            return await handler(request)
        except ServiceError as error:
            REFUSALS.labels(error.code.value).inc()
            return problem(error)
        except web.HTTPException as error:
            return problem(ServiceError(_HTTP_CODES.get(error.status, ErrorCode.PARAMETER_INVALID)))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("request.failed", route=route_of(request))
            return problem(ServiceError(ErrorCode.INTERNAL))

    return answer


_HTTP_CODES = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}
