"""Browsers: which pages may call the contracts (CORS), and the refusal of what any other site's page sends."""

import re
from collections.abc import Collection, Sequence

from aiohttp import web

from shared.errors import ErrorCode, ServiceError

METHODS = "GET, POST, PUT, PATCH, DELETE"
HEADERS = "Authorization, Content-Type, Accept-Language, X-Requested-With, traceparent"
EXPOSED = "Retry-After, X-Request-Id, Authorization"
PREFLIGHT_SECONDS = 600
"""How long a browser may remember the answer to a preflight."""

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?|file://")
_DEFAULT_PORTS = (("http:", ":80"), ("https:", ":443"))


def parse_origin(text: str) -> str:
    """An origin exactly as browsers write it: ``https://m.example.com``, or ``capacitor://localhost`` of a hybrid app.

    Raises ``ValueError``.
    """
    has_default_port = any(text.startswith(scheme) and text.endswith(port) for scheme, port in _DEFAULT_PORTS)
    if has_default_port or not _ORIGIN.fullmatch(text):
        raise ValueError("expected origins such as https://m.example.com, in lower case, without path or default port")
    return text


class WebOrigins:
    """The origins whose pages may call the paths of the contracts. Other sites' pages are refused there."""

    def __init__(self, listed: Collection[str], paths: Sequence[re.Pattern[str]]) -> None:
        self._listed = frozenset(listed)
        self._paths = paths

    def admit(self, request: web.Request) -> web.Response | None:
        """Answer the preflight of a listed origin. Return None for every other request that may go on.

        Raises ``PARAMETER_INVALID`` for a request of a page whose origin is not listed.
        """
        if not is_foreign(request) or not self._covers(request):
            return None
        if request.headers.get("Origin") not in self._listed:
            raise ServiceError(ErrorCode.PARAMETER_INVALID)
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return web.Response(status=204, headers=_PREFLIGHT) if is_preflight else None

    def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the page of a listed origin read the response, refusals included."""
        if not self._listed or not self._covers(request):
            return
        headers = response.headers
        headers["Vary"] = ", ".join(filter(None, (headers.get("Vary"), "Origin")))
        origin = request.headers.get("Origin", "")
        if origin in self._listed:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = EXPOSED

    def _covers(self, request: web.Request) -> bool:
        path = request.rel_url.raw_path  # a decoded path may contain a line end, which "." does not match
        return any(pattern.fullmatch(path) for pattern in self._paths)


_PREFLIGHT = {
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": HEADERS,
    "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
}


def is_foreign(request: web.Request) -> bool:
    """Whether a page of another origin makes this request. Apps and servers send neither header, browsers always do.

    Browsers without TLS send no ``Sec-Fetch-Site``. There, and between sites of one domain, the origin is compared with
    the host, which proxies may have moved to ``X-Forwarded-Host``, as a list if there are several; a page can set
    neither of the two.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None and origin is None:
        return False
    if site in {"same-origin", "none", "cross-site"} or origin is None:
        return site == "cross-site"
    host = origin.partition("://")[2]
    hosts = ",".join([*request.headers.getall("X-Forwarded-Host", []), request.headers.get("Host", "")])
    ours = set(map(str.strip, hosts.split(",")))
    return not host or ours.isdisjoint({host, f"{host}:80", f"{host}:443"})
