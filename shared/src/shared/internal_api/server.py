"""The server of an internal API: who may call what, and refusals as problem details."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from types import ModuleType

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import SecretStr

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.access import Access
from shared.internal_api.calls import ServedCall
from shared.internal_api.direct import DirectCalls
from shared.internal_api.endpoint import PING, Empty, WireModel
from shared.internal_api.principals import Principal
from shared.internal_api.replies import JSON, problem
from shared.process.hang_ups import is_hang_up, record_hang_up
from shared.process.health import add_checks
from shared.process.metrics import count_refusal, observe, route_of
from shared.process.web import FRONT
from shared.trace import TRACEPARENT, begin_cause, span

REQUEST_ID = "X-Request-Id"
CALLS: web.AppKey[dict[str, ServedCall]] = web.AppKey("calls", dict[str, ServedCall])
"""What an application answers, by path."""
_HTTP_CODES = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}

log = structlog.get_logger()


def reply(response: WireModel) -> web.Response:
    """A response model as JSON, for a route that is not a call."""
    return web.Response(body=response.model_dump_json().encode(), content_type=JSON)


def new_service(
    tokens: Mapping[Principal, SecretStr | None], apis: Iterable[ModuleType], *, body_bytes: int = 16_384
) -> web.Application:
    """An internal application with health checks, which serves the modules ``apis`` (``add_api``).

    It also serves ``PING``. It refuses an endpoint to every principal but the one that it allows, and a route of
    ``/v1/`` without an endpoint to all. Whether a path of ``/v1/`` exists it tells only to those who have a token.
    """
    access = Access(tokens)
    app = web.Application(middlewares=[_boundary(access)], client_max_size=body_bytes)
    calls = app[CALLS] = dict[str, ServedCall]()
    app[FRONT] = DirectCalls(app, calls, access, body_bytes)
    add_checks(app)
    _add_call(app, ServedCall(PING, _answer_ping))
    for api in apis:
        add_api(app, api)
    return app


def add_api(app: web.Application, api: ModuleType) -> None:
    """Serve a module's ``calls``, and its ``routes`` if it has any that are not calls."""
    for call in api.calls.by_path.values():
        _add_call(app, call)
    app.add_routes(getattr(api, "routes", ()))


def _add_call(app: web.Application, call: ServedCall) -> None:
    app[CALLS][call.endpoint.path] = call
    app.router.add_post(call.endpoint.path, _handler(call))


async def _answer_ping(_: web.Application, __: Empty) -> Empty:
    return Empty()


def _handler(call: ServedCall) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return (await call.reply(request.app, await request.read())).response()

    return handle


def _boundary(access: Access) -> Middleware:
    @web.middleware
    async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        begin_cause(request.headers.get(REQUEST_ID, ""), request.headers.getall(TRACEPARENT, ()))
        route = route_of(request)
        with span(route, "server") as describe:
            response = _refuse_principal(request, access) or await _answered(request, handler)
            describe({"http.response.status_code": response.status})
        observe(request, route, response.status, time.perf_counter() - started)
        return response

    return measured


def _refuse_principal(request: web.Request, access: Access) -> web.Response | None:
    """401 for an unknown token, 403 for the token of another principal; None if the call is allowed."""
    call = request.app[CALLS].get(request.path) if request.method == "POST" else None
    if call is None and not request.path.startswith("/v1/"):
        return None
    is_served = request.match_info.route.resource is not None  # otherwise it is not found, or not with this method
    allowed = {call.endpoint.allowed} if call else set(Principal) if not is_served else set()
    refusal = access.refuse(request.headers.get("Authorization", ""), allowed, route_of(request))
    return refusal.response() if refusal else None


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ServiceError as error:
        count_refusal(error.code.value, route_of(request))
        return problem(error).response()
    except web.HTTPException as error:
        return problem(ServiceError(_HTTP_CODES.get(error.status, ErrorCode.PARAMETER_INVALID))).response()
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  the last resort: every outcome must be a refusal
        return problem(_unexpected(error, request)).response()


def _unexpected(error: Exception, request: web.Request) -> ServiceError:
    if is_hang_up(error, request):
        record_hang_up(error, request)
        return ServiceError(ErrorCode.PARAMETER_INVALID)
    log.error("request.failed", route=route_of(request), exc_info=error)
    return ServiceError(ErrorCode.INTERNAL)
