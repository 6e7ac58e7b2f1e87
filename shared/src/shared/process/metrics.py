"""Prometheus metrics: the duration of every HTTP request by route template, and ``GET /metrics``."""

from functools import lru_cache

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

REQUESTS = Histogram(
    "haoma_http_request_duration_seconds",
    "Time from the first byte of a request to its response",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
REFUSALS = Counter("haoma_refusals_total", "Expected refusals by code", ["code"])


def route_of(request: web.Request) -> str:
    """The route's template. A path is never a label: it may contain what a user typed."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unmatched"


def observe(request: web.Request, status: int, seconds: float) -> None:
    """Record the duration of an answered request."""
    method = request.method if request.method in _METHODS else "other"
    observe_route(method, route_of(request), status, seconds)


def observe_route(method: str, route: str, status: int, seconds: float) -> None:
    """Record the duration of an answered request to this route template."""
    _child(method, route, status).observe(seconds)


@lru_cache(maxsize=1024)
def _child(method: str, route: str, status: int) -> Histogram:
    return REQUESTS.labels(method, route, status)


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


async def show_metrics(_: web.Request) -> web.Response:
    """Serve ``GET /metrics``."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
