"""The hardened edge: every request is bounded and named here, and every outcome becomes an answer in its dialect."""

import asyncio
import ipaddress
import logging
import secrets
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.dialect import ADDRESS, Dialect
from gateway.problems import ACCEPT_LANGUAGE, problem
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.process.metrics import REFUSALS, observe, route_of

TOTAL_SECONDS = 4.8
"""From the head of a request to its answer: an outage is told within 5 s."""

HEALTH = frozenset({"/livez", "/readyz", "/metrics"})

log = structlog.get_logger()

HTTP_CODES = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}


def guard(dialects: Sequence[Dialect], proxies: Sequence[IPv4Network | IPv6Network]) -> Middleware:
    """The one middleware around every route: identity, deadline, refusals, headers, one log line."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = secrets.token_hex(12)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        request[ADDRESS] = client_address(request, proxies)
        ACCEPT_LANGUAGE.set(request.headers.get("Accept-Language", ""))
        said = ""
        try:
            refuse_strangers(request)
            async with asyncio.timeout(TOTAL_SECONDS):
                response = await handler(request)
        except Exception as error:  # noqa: BLE001  the last resort: nothing may leave but an answer of the contract
            refusal = _as_refusal(error, request)
            said = refusal.code.value
            REFUSALS.labels(said).inc()
            response = _render(dialects, refusal, request)
            if isinstance(error, web.HTTPMethodNotAllowed):
                response.headers["Allow"] = ",".join(sorted(error.allowed_methods))
        response.headers["X-Request-Id"] = request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Server"] = "haoma"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers.setdefault("Cache-Control", "no-store")
        seconds = time.perf_counter() - started
        observe(request, response.status, seconds)
        log.log(
            logging.DEBUG if request.path in HEALTH else logging.INFO,
            "request",
            method=request.method,
            route=route_of(request),
            status=response.status,
            refusal=said,
            ms=round(seconds * 1000, 1),
        )
        return response

    return answer


def refuse_strangers(request: web.Request) -> None:
    """Figures of our own are for our own network. Raises ``NOT_FOUND``."""
    address = request[ADDRESS]
    ours = isinstance(address, IPv4Address | IPv6Address) and (address.is_private or address.is_loopback)
    if request.path == "/metrics" and not ours:
        raise ServiceError(ErrorCode.NOT_FOUND)


def _as_refusal(error: Exception, request: web.Request) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, web.HTTPException):
        return ServiceError(HTTP_CODES.get(error.status, ErrorCode.PARAMETER_INVALID))
    if isinstance(error, TimeoutError):
        log.warning("request.timeout", route=route_of(request))
        return unavailable()
    log.error("request.failed", route=route_of(request), exc_info=error)
    return ServiceError(ErrorCode.INTERNAL, retry_after=1)


def _render(dialects: Sequence[Dialect], refusal: ServiceError, request: web.Request) -> web.Response:
    encoded = request.rel_url.raw_path  # decoded, a path may hold a line end, which no "." of an expression matches
    for dialect in dialects:
        if dialect.owns.fullmatch(encoded):
            return dialect.render_error(refusal, request.path)
    return problem(refusal)


def client_address(request: web.Request, proxies: Sequence[IPv4Network | IPv6Network]) -> IPv4Address | IPv6Address:
    """The right-most hop that is not one of our proxies; a header from anybody else is not believed."""
    address = _address(request.remote or "") or IPv6Address("::")
    hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    while hops and any(address in network for network in proxies):
        claimed = _address(hops.pop().strip())
        if claimed is None:
            break
        address = claimed
    return address


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
