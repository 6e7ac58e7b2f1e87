"""The client's address: ``X-Forwarded-For`` as proxies write it, believed from our own proxies only."""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import structlog
from aiohttp import web

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]

FORWARDED = "X-Forwarded-For"
_WITH_PORT = re.compile(r"\[\s*([0-9A-Fa-f:.]+(?:%[\w.~-]+)?)\s*\](?::[0-9]{0,5})?|([0-9.]+):[0-9]{0,5}")

log = structlog.get_logger()


class ClientAddresses:
    """Finds the address of each client. ``proxies`` is None if the operator has not said whether there are any."""

    def __init__(self, proxies: Networks | None) -> None:
        self._proxies = proxies or ()
        self._warns = proxies is None

    def of(self, request: web.Request) -> Address:
        """The client's address."""
        return client_address(request, self._proxies)

    def report_unnamed_proxy(self, request: web.Request) -> None:
        """Warn once if this request seems to come from a proxy that ``TRUSTED_PROXIES`` does not name.

        Ask only for a request without an app key: an app's server tells addresses too, and must not be named there.
        """
        if self._warns and FORWARDED in request.headers and (peer := self.of(request)).is_private:
            self._warns = False
            log.warning("proxy.untrusted", peer=str(peer), hint="set TRUSTED_PROXIES to its network, or to none")

    def forwarded_address(self, request: web.Request) -> Address | None:
        """The address of the user for whom an app's server calls, if it tells one in ``X-Forwarded-For``.

        It is the hop next to that server. Ask only for a server that is known by its key: any other client may lie.
        """
        _, hops = _walk(request, self._proxies)
        return _parse_hop(hops[-1]) if hops else None


def client_address(request: web.Request, proxies: Networks) -> Address:
    """The right-most hop that is not one of our proxies. ``X-Forwarded-For`` from any other peer is ignored."""
    return _walk(request, proxies)[0]


def _walk(request: web.Request, proxies: Networks) -> tuple[Address, list[str]]:
    """The client's address, and the hops that it told itself, the nearest last."""
    address = _peer(request.remote or "")
    hops = _hops(request)
    while hops and any(address in network for network in proxies):
        hop = _parse_hop(hops.pop())
        if hop is None:
            break
        address = hop
    return address, hops


def _hops(request: web.Request) -> list[str]:
    """The elements of ``X-Forwarded-For``. Empty ones do not count (RFC 9110, 5.6.1.2)."""
    if FORWARDED not in request.headers:
        return []
    return list(filter(str.strip, ",".join(request.headers.getall(FORWARDED)).split(",")))


@lru_cache(maxsize=4096)
def _peer(text: str) -> Address:
    """The address at the other end of a connection. The same ones come again and again."""
    return _parse_hop(text) or IPv6Address("::")


def _parse_hop(text: str) -> Address | None:
    """An address, with or without quotes, brackets, a port and a zone (``fe80::1%eth0``), which is dropped."""
    text = text.strip(" \t\"'")
    try:
        address = ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        match = _WITH_PORT.fullmatch(text)
        return _parse_hop(match[1] or match[2]) if match else None
    return getattr(address, "ipv4_mapped", None) or address
