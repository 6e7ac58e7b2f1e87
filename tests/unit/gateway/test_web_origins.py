"""Which browser requests have an effect: those of our own pages, and of origins that the operator lists."""

import re

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.http.web_origins import WebOrigins, is_foreign, parse_origin
from shared.errors import ErrorCode, ServiceError

LISTED = "https://m.example.com"
ORIGINS = WebOrigins([LISTED], [re.compile("/v2(/.*)?")])


def sent_by(method: str = "GET", path: str = "/v2/me", **headers: str) -> web.Request:
    return make_mocked_request(method, path, headers={name.replace("_", "-"): each for name, each in headers.items()})


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"Host": "a.example"}, False),
        ({"Sec_Fetch_Site": "none"}, False),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "null"}, False),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, True),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "http://a.example", "Host": "a.example"}, True),
        ({"Sec_Fetch_Site": "same-site", "Origin": "https://b.a.example", "Host": "a.example"}, True),
        ({"Origin": "http://a.example", "Host": "a.example"}, False),
        ({"Origin": "https://a.example", "Host": "a.example:443"}, False),
        ({"Origin": "https://a.example", "Host": "gateway:8080", "X_Forwarded_Host": "a.example"}, False),
        ({"Origin": "https://a.example", "Host": "gateway", "X_Forwarded_Host": "a.example, proxy.internal"}, False),
        ({"Origin": "https://b.example", "Host": "gateway", "X_Forwarded_Host": "a.example, proxy.internal"}, True),
        ({"Origin": "https://", "Host": "gateway", "X_Forwarded_Host": "a.example,"}, True),
        ({"Origin": "https://a.example:8443", "Host": "a.example"}, True),
        ({"Origin": "null", "Host": "a.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://", "Host": ""}, True),
        ({"Origin": "http://[", "Host": "a.example"}, True),
        ({"Origin": "https://a.example.evil.example", "Host": "a.example"}, True),
    ],
)
def test_a_request_is_foreign_when_another_origin_makes_it(headers: dict[str, str], foreign: bool) -> None:
    assert is_foreign(sent_by(**headers)) is foreign


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://m.example.com", "https://M.example.com"])
def test_an_origin_that_is_not_listed_is_refused_in_every_method(method: str, origin: str) -> None:
    request = sent_by(method, Origin=origin, Access_Control_Request_Method="POST")
    with pytest.raises(ServiceError) as refusal:
        ORIGINS.admit(request)
    assert refusal.value.code is ErrorCode.PARAMETER_INVALID


def test_the_preflight_of_a_listed_origin_is_answered() -> None:
    response = ORIGINS.admit(sent_by("OPTIONS", Origin=LISTED, Access_Control_Request_Method="PATCH"))
    assert response is not None
    assert response.status == 204
    assert "PATCH" in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_request_of_a_listed_origin_goes_on(method: str) -> None:
    assert ORIGINS.admit(sent_by(method, Origin=LISTED, Sec_Fetch_Site="cross-site")) is None


def test_paths_outside_the_contracts_are_left_alone() -> None:
    request = sent_by("GET", "/docs", Sec_Fetch_Site="cross-site")
    assert ORIGINS.admit(request) is None
    response = web.Response()
    ORIGINS.add_headers(request, response)
    assert "Vary" not in response.headers


@pytest.mark.parametrize(("origin", "allowed"), [(LISTED, LISTED), ("https://evil.example", None), ("", None)])
def test_only_the_page_of_a_listed_origin_may_read_the_response(origin: str, allowed: str | None) -> None:
    response = web.Response(headers={"Vary": "Accept-Language"})
    ORIGINS.add_headers(sent_by(Origin=origin), response)
    assert response.headers.get("Access-Control-Allow-Origin") == allowed
    assert ("Access-Control-Expose-Headers" in response.headers) is (allowed is not None)
    assert response.headers["Vary"] == "Accept-Language, Origin"


def test_without_listed_origins_responses_stay_as_they_are() -> None:
    response = web.Response()
    WebOrigins([], [re.compile(".*")]).add_headers(sent_by(Origin=LISTED), response)
    assert not {"Vary", "Access-Control-Allow-Origin"} & response.headers.keys()


@pytest.mark.parametrize(
    "origin",
    ["https://m.example.com", "http://localhost:5173", "capacitor://localhost", "http://[::1]:3000", "file://"],
)
def test_an_origin_as_browsers_write_it_can_be_listed(origin: str) -> None:
    assert parse_origin(origin) == origin


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "*",
            "null",
            "",
            "m.example.com",
            "https://*.example.com",
            "https://m.example.com/",
            "https://m.example.com/a",
        ),
        *("https://m.example.com:443", "http://m.example.com:80", "HTTPS://m.example.com", "https://M.example.com"),
        *("https://u@m.example.com", "https://m.example.com?", "https://m.example.com\n", "https://"),
    ],
)
def test_what_no_browser_sends_cannot_be_listed(origin: str) -> None:
    with pytest.raises(ValueError, match="expected origins"):
        parse_origin(origin)
