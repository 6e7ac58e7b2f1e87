"""The HTTP API of operators: ``POST /v1/<call>`` with a JSON object, and a key of one's own."""

import asyncio
import time
from typing import Any

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.named_operators import NamedOperator, NamedOperators
from gateway.operators.calls import CALLS
from gateway.operators.refusals import RefusedRequestError, render, unknown_key
from gateway.operators.requests import OperatorRequests
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.server import REQUEST_ID, reply
from shared.process.hang_ups import is_hang_up, record_hang_up
from shared.process.metrics import count_refusal, observe, route_of
from shared.trace import TRACEPARENT, begin_cause

OPERATORS: web.AppKey[NamedOperators] = web.AppKey("operators", NamedOperators)
REQUESTS: web.AppKey[OperatorRequests] = web.AppKey("operator_requests", OperatorRequests)
_HTTP_CODES = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}
routes = web.RouteTableDef()
log = structlog.get_logger()


@routes.post("/v1/{call}")
async def make_call(request: web.Request) -> web.Response:
    operator = _operator(request)
    name = request.match_info["call"]
    if name not in CALLS:
        raise RefusedRequestError(404, ErrorCode.NOT_FOUND, "there is no such call: operate --help lists them")
    fields = _object(await request.read())
    log.info("operator.requested", operator=operator.name, role=operator.role, call=name)
    return reply(await request.app[REQUESTS].make(operator, CALLS[name], fields))


@web.middleware
async def boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Around every request: its cause, its duration, and its refusal."""
    started = time.perf_counter()
    begin_cause(request.headers.get(REQUEST_ID, ""), request.headers.getall(TRACEPARENT, ()))
    response = await _answered(request, handler)
    response.headers["Cache-Control"] = "no-store"
    observe(request, route_of(request), response.status, time.perf_counter() - started)
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ServiceError, RefusedRequestError) as error:
        count_refusal(str(error.code), route_of(request))
        return render(error)
    except web.HTTPException as error:
        return render(ServiceError(_HTTP_CODES.get(error.status, ErrorCode.PARAMETER_INVALID)))
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  the last resort: every outcome must be a refusal
        return render(_unexpected(error, request))


def _unexpected(error: Exception, request: web.Request) -> ServiceError:
    if is_hang_up(error, request):
        record_hang_up(error, request)
        return ServiceError(ErrorCode.PARAMETER_INVALID)
    log.error("request.failed", route=route_of(request), exc_info=error)
    return ServiceError(ErrorCode.INTERNAL)


def _operator(request: web.Request) -> NamedOperator:
    operator = request.app[OPERATORS].operator_of(request.headers.get("Authorization", ""))
    if operator is None:
        log.warning("operator.refused", route=route_of(request))
        raise unknown_key()
    return operator


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        raise RefusedRequestError(400, ErrorCode.PARAMETER_INVALID, "the body is no JSON object")
    return fields
