"""The middleware around every route: it bounds and identifies a request, and renders every refusal in its dialect."""

import secrets
import time
from collections.abc import Sequence

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.dialect import ADDRESS, APP, Dialect
from gateway.http.callers import Callers
from gateway.http.problems import ACCEPT_LANGUAGE, problem
from gateway.http.session_tokens import SECURE_COOKIES
from gateway.http.web_origins import WebOrigins
from shared.deadline import TimeLimit
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.process.hang_ups import is_hang_up, record_hang_up
from shared.process.metrics import count_refusal, observe, route_of
from shared.trace import TRACEPARENT, begin_cause, span

TOTAL_SECONDS = 4.8
"""Deadline from the head of a request to its response: clients learn of an outage within 5 s."""

PROBE = "/livez"

log = structlog.get_logger()

HTTP_CODES = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}

NOTHING_TO_RENDER = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
"""The content security policy of every response that is no page: a browser that opens one loads and embeds nothing."""
HTTPS_ONLY = "max-age=31536000"
"""Sent in production. Whether it holds for subdomains too is a decision of the domain, and so of the proxy."""


def guard(dialects: Sequence[Dialect], callers: Callers, origins: WebOrigins) -> Middleware:
    """Build the middleware: caller, browsers, deadline, refusals, response headers, metrics, one log line."""
    names = dialect_names(dialects)
    limit = TimeLimit(TOTAL_SECONDS)

    async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
        preflight = origins.admit(request)
        if app_call := callers.app_call(request):
            request[APP], request[ADDRESS] = app_call
        with limit():
            return await handler(request) if preflight is None else preflight

    @web.middleware
    async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = secrets.token_hex(12)
        begin_cause(request_id, request.headers.getall(TRACEPARENT, ()))
        request[ADDRESS], request[APP] = callers.address_of(request), ""
        ACCEPT_LANGUAGE.set(request.headers.get("Accept-Language", ""))
        route = route_of(request)
        refusal, dialect = "", names.get(route, "")
        with span(route, "server") as describe:
            try:
                response = await admitted(request, handler)
            except Exception as error:  # noqa: BLE001  the last resort: every outcome must be a response of the contract
                response, refusal = _render_error(dialects, error, request)
                count_refusal(refusal, route, dialect)
            describe({"haoma.dialect": dialect, "http.response.status_code": response.status})
        _add_headers(request, response, request_id)
        origins.add_headers(request, response)
        seconds = time.perf_counter() - started
        observe(request, route, response.status, seconds, dialect)
        _log(request, route, response.status, refusal, seconds)
        return response

    return handle


def dialect_names(dialects: Sequence[Dialect]) -> dict[str, str]:
    """The contract of each route, by the template of its path."""
    return {route.path: dialect.name for dialect in dialects for route in dialect.routes}


def _render_error(dialects: Sequence[Dialect], error: Exception, request: web.Request) -> tuple[web.Response, str]:
    refusal = _as_refusal(error, request)
    response = _render(dialects, refusal, request)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ",".join(sorted(error.allowed_methods))
    return response, refusal.code.value


def _add_headers(request: web.Request, response: web.StreamResponse, request_id: str) -> None:
    headers = response.headers
    headers["X-Request-Id"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Server"] = "haoma"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Content-Security-Policy", NOTHING_TO_RENDER)
    if request.app.get(SECURE_COOKIES, False):
        headers["Strict-Transport-Security"] = HTTPS_ONLY


def _log(request: web.Request, route: str, status: int, refusal: str, seconds: float) -> None:
    app = {"app": request[APP]} if request[APP] else {}
    write = log.debug if request.path == PROBE else log.info
    write(
        "request.answered",
        method=request.method,
        route=route,
        status=status,
        refusal=refusal,
        ms=round(seconds * 1000, 1),
        **app,
    )


def _as_refusal(error: Exception, request: web.Request) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, web.HTTPException):
        return ServiceError(HTTP_CODES.get(error.status, ErrorCode.PARAMETER_INVALID))
    if isinstance(error, TimeoutError):
        log.warning("request.timed_out", route=route_of(request))
        return unavailable()
    if is_hang_up(error, request):
        record_hang_up(error, request)
        return ServiceError(ErrorCode.PARAMETER_INVALID)
    log.error("request.failed", route=route_of(request), exc_info=error)
    return ServiceError(ErrorCode.INTERNAL)


def _render(dialects: Sequence[Dialect], refusal: ServiceError, request: web.Request) -> web.Response:
    encoded = request.rel_url.raw_path  # a decoded path may contain a line end, which "." does not match
    for dialect in dialects:
        if dialect.owns.fullmatch(encoded):
            return dialect.render_error(refusal, request.path)
    return problem(refusal)
