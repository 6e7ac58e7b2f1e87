"""Clients that hang up before their request has arrived: counted, and no error of ours."""

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError
from prometheus_client import Counter

from shared.process.metrics import route_of

ABORTED = Counter("haoma_requests_aborted_total", "Requests whose body ended before it had arrived", ["route"])

log = structlog.get_logger()


def is_hang_up(error: Exception, request: web.BaseRequest) -> bool:
    """Whether the client ended the connection or its body too early."""
    if isinstance(error, RequestPayloadError):
        return True
    return isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing())


def record_hang_up(error: Exception, request: web.Request) -> None:
    """Count it and log it in one line: a client must not be able to fill the log."""
    record_hang_up_at(route_of(request), error)


def record_hang_up_at(route: str, error: Exception) -> None:
    """As ``record_hang_up``, for the template of a route."""
    ABORTED.labels(route).inc()
    log.info("request.aborted", route=route, error=type(error).__name__)
