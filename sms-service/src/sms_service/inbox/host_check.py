"""Which host names the inbox answers to. Any site may point its own name at a developer's machine, to read codes."""

import ipaddress
from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from shared.errors import ErrorCode, ServiceError

PRIVATE_DOMAINS = (".localhost", ".local", ".internal", ".home.arpa", ".test")
"""Domains in which no stranger can register a name (RFC 6761, 6762, 8375; ICANN keeps ``internal``)."""
MAX_LOGGED_HOST = 100

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger()


def for_private_hosts(handler: Handler) -> Handler:
    """A handler that answers ``NOT_FOUND`` to a browser that knows this machine by a public name."""

    @wraps(handler)
    async def checked(request: web.Request) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if not is_private(host):
            log.warning("inbox.host_refused", host=host[:MAX_LOGGED_HOST], hint="use localhost or an IP address")
            raise ServiceError(ErrorCode.NOT_FOUND)
        return await handler(request)

    return checked


def is_private(host: str) -> bool:
    """Whether the host of a request, with or without a port, is an address or a name that strangers cannot have."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return False
    return "." not in name or name.endswith(PRIVATE_DOMAINS) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
