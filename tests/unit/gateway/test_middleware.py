"""The client's address: ``X-Forwarded-For`` counts only when one of our own proxies sends it."""

from contextlib import nullcontext
from ipaddress import ip_address, ip_network

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.dialect import ADDRESS
from gateway.middleware import client_address, refuse_public_metrics
from shared.errors import ServiceError

PROXIES = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


class _Transport:
    def __init__(self, peer: str) -> None:
        self._peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._peer, 4711) if name == "peername" else default


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.2.3.4", "198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.1.2.3", ["garbage"], "10.1.2.3"),
        ("10.1.2.3", ["1.2.3.4, garbage"], "10.1.2.3"),
        ("10.1.2.3", ["10.0.0.1"], "10.0.0.1"),
        ("::1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
    ],
)
def test_the_client_is_the_right_most_hop_that_is_not_our_proxy(peer: str, forwarded: list[str], expected: str) -> None:
    headers = [("X-Forwarded-For", value) for value in forwarded]
    request = make_mocked_request("GET", "/", headers=CIMultiDict(headers), transport=_Transport(peer))
    assert client_address(request, PROXIES) == ip_address(expected)


@pytest.mark.parametrize(
    ("address", "path", "refused"),
    [
        ("8.8.8.8", "/metrics", True),
        ("2001:4860:4860::8888", "/metrics", True),
        ("10.1.2.3", "/metrics", False),
        ("127.0.0.1", "/metrics", False),
        ("8.8.8.8", "/livez", False),
    ],
)
def test_metrics_are_served_to_private_networks_only(address: str, path: str, refused: bool) -> None:
    request = make_mocked_request("GET", path)
    request[ADDRESS] = ip_address(address)
    with pytest.raises(ServiceError) if refused else nullcontext():
        refuse_public_metrics(request)
