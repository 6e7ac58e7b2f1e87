"""Prometheus metrics: the duration and the refusals of HTTP requests by route and contract, and ``GET /metrics``."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from shared.process.metric_children import child
from shared.process.version import VERSION

REQUESTS = Histogram(
    "haoma_http_request_duration_seconds",
    "Time from the first byte of a request to its response",
    ["method", "route", "dialect", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
REFUSALS = Counter("haoma_refusals_total", "Expected refusals by code", ["route", "dialect", "code"])
BUILD = Gauge("haoma_build_info", "1; which process this is, and its version", ["process", "version"])

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def identify(process: str) -> None:
    """Name the process in ``haoma_build_info``, and export no ``_created`` series, which would double the others."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    BUILD.labels(process, VERSION).set(1)


def route_of(request: web.Request) -> str:
    """The route's template. A path is never a label: it may contain what a user typed."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unmatched"


def observe(request: web.Request, route: str, status: int, seconds: float, dialect: str = "") -> None:
    """Record the duration of an answered request. ``dialect`` is the contract of its route, if it has one."""
    method = request.method if request.method in _METHODS else "other"
    observe_route(method, route, status, seconds, dialect)


def observe_route(method: str, route: str, status: int, seconds: float, dialect: str = "") -> None:
    """Record the duration of an answered request to this route template."""
    child(REQUESTS, method, route, dialect, status).observe(seconds)


def count_refusal(code: str, route: str = "", dialect: str = "") -> None:
    """Count a refusal. A request that could not be parsed has no route."""
    child(REFUSALS, route, dialect, code).inc()


async def show_metrics(_: web.Request) -> web.Response:
    """Serve ``GET /metrics``."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
