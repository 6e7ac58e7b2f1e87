"""The client's address: ``X-Forwarded-For`` counts only when one of our own proxies sends it."""

from ipaddress import ip_address, ip_network

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.http.app_keys import generate
from gateway.http.callers import Callers
from gateway.http.client_address import ClientAddresses, client_address

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
        ("10.1.2.3", ["203.0.113.7:51234"], "203.0.113.7"),
        ("10.1.2.3", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.1.2.3", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.1.2.3", ["[::ffff:203.0.113.7]:443"], "203.0.113.7"),
        ("10.1.2.3", ['"203.0.113.7:80"'], "203.0.113.7"),
        ("10.1.2.3", ['"[2001:db8::1]:80"'], "2001:db8::1"),
        ("10.1.2.3", ["  203.0.113.7 \t, 10.4.4.4:8080 "], "203.0.113.7"),
        ("10.1.2.3", ["1.2.3.4:5, 203.0.113.7:51234, [::1]:9"], "203.0.113.7"),
        ("10.1.2.3", ["203.0.113.7,"], "203.0.113.7"),
        ("10.1.2.3", ["203.0.113.7, , 10.4.4.4"], "203.0.113.7"),
        ("10.1.2.3", [", ,203.0.113.7", "", " "], "203.0.113.7"),
        ("10.1.2.3", [" , "], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.7:"], "203.0.113.7"),
        ("10.1.2.3", ["fe80::1%eth0"], "fe80::1"),
        ("10.1.2.3", ["[fe80::1%eth0]:443"], "fe80::1"),
        ("10.1.2.3", ["2001:db8::1%25en0"], "2001:db8::1"),
        ("fe80::2%eth0", [], "fe80::2"),
        ("10.1.2.3", ["203.0.113.7%eth0"], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.007"], "10.1.2.3"),
        ("10.1.2.3", ["for=203.0.113.7"], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.7;198.51.100.1"], "10.1.2.3"),
        ("10.1.2.3", ["１.2.3.4"], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.7:http"], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.7:123456"], "10.1.2.3"),
        ("10.1.2.3", ["[203.0.113.7"], "10.1.2.3"),
        ("10.1.2.3", ["unknown", "_hidden"], "10.1.2.3"),
    ],
)
def test_the_client_is_the_right_most_hop_that_is_not_our_proxy(peer: str, forwarded: list[str], expected: str) -> None:
    headers = [("X-Forwarded-For", value) for value in forwarded]
    request = make_mocked_request("GET", "/", headers=CIMultiDict(headers), transport=_Transport(peer))
    assert client_address(request, PROXIES) == ip_address(expected)


def forwarded_by(peer: str, **headers_too: str) -> web.Request:
    headers = CIMultiDict({"X-Forwarded-For": "198.51.100.1", **headers_too})
    return make_mocked_request("GET", "/", headers=headers, transport=_Transport(peer))


def test_a_proxy_that_no_setting_names_is_reported_once() -> None:
    callers = Callers.configured(None, "")
    with structlog.testing.capture_logs() as logs:
        assert callers.app_call(forwarded_by("8.8.8.8")) is None
        assert logs == []
        for peer in ("10.1.2.3", "10.1.2.4"):
            assert callers.app_call(forwarded_by(peer)) is None
    assert [(entry["event"], entry["log_level"], entry["peer"]) for entry in logs] == [
        ("proxy.untrusted", "warning", "10.1.2.3")
    ]


def test_the_server_of_an_app_is_not_reported_as_a_proxy() -> None:
    key, entry = generate("shop")
    callers = Callers.configured(None, str(entry))
    with structlog.testing.capture_logs() as logs:
        call = callers.app_call(forwarded_by("10.1.2.3", Authorization=f"App {key}"))
    assert (call, logs) == (("shop", ip_address("198.51.100.1")), [])


@pytest.mark.parametrize("proxies", [(), PROXIES])
def test_nothing_is_reported_where_the_setting_says_which_proxies_there_are(proxies: list[object]) -> None:
    with structlog.testing.capture_logs() as logs:
        ClientAddresses(proxies).report_unnamed_proxy(forwarded_by("192.168.1.1"))
    assert logs == []


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], None),
        ("203.0.113.9", [""], None),
        ("203.0.113.9", ["198.51.100.1"], "198.51.100.1"),
        ("203.0.113.9", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("203.0.113.9", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("203.0.113.9", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("203.0.113.9", ["unknown"], None),
        ("203.0.113.9", ["198.51.100.1, unknown"], None),
        ("10.1.2.3", ["203.0.113.9"], None),
        ("10.1.2.3", ["198.51.100.1, 203.0.113.9"], "198.51.100.1"),
        ("10.1.2.3", ["1.2.3.4, 198.51.100.1, 203.0.113.9, 10.9.9.9"], "198.51.100.1"),
        ("10.1.2.3", ["1.2.3.4", "203.0.113.9"], "1.2.3.4"),
    ],
)
def test_an_app_server_tells_the_address_of_its_user_behind_our_proxies_too(
    peer: str, forwarded: list[str], expected: str | None
) -> None:
    headers = CIMultiDict(("X-Forwarded-For", value) for value in forwarded)
    request = make_mocked_request("POST", "/v2/sessions", headers=headers, transport=_Transport(peer))

    assert ClientAddresses(PROXIES).forwarded_address(request) == (ip_address(expected) if expected else None)
