"""The cookie ``session``, beside cookies that other applications set on the parent domain."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.http.session_tokens import (
    SECURE_COOKIES,
    SESSION_SECONDS,
    TOKEN_COOKIES,
    add_token,
    cookies,
    token_cookies,
)


def request(headers: CIMultiDict[str], *earlier: str) -> web.Request:
    app = web.Application()
    app[TOKEN_COOKIES] = token_cookies(earlier)
    return make_mocked_request("GET", "/", headers=headers, app=app)


@pytest.mark.parametrize(
    ("header", "tokens"),
    [
        ("", []),
        ("session=a.b-c_d", ["a.b-c_d"]),
        ("session=ours; session=theirs", ["ours", "theirs"]),
        ("session=ours; session=ours", ["ours"]),
        ('session="ours"', ["ours"]),
        ("  session = ours ;", ["ours"]),
        ("session=s%3Atheirs; session=ours", ["ours"]),
        ("session=s%3Aof-another.system%2B%3D; session=ours", ["s:of-another.system+=", "ours"]),
        ("session=12|of+another/system==; session=ours", ["12|of+another/system==", "ours"]),
        ("session=a+token\\of-another-system; session=a+token,of-another-system; session=ours", ["ours"]),
        ('session=a+token"of-another-system; session=a+token of-another-system; session=ours', ["ours"]),
        ("session=; session=ours", ["ours"]),
        ("session=a; session=b; session=c; session=d", ["a", "b", "c"]),
        ('g_state={"i_l":0}; a[b]=1; bad cookie=1; session=ours', ["ours"]),
        ("Session=x; xsession=y; session2=z", []),
        ("session", []),
        ("session=" + "a" * 4097, []),
    ],
)
def test_every_cookie_that_may_hold_a_token_is_found(header: str, tokens: list[str]) -> None:
    assert cookies(request(CIMultiDict(Cookie=header))) == tokens


def test_cookies_may_come_in_several_headers() -> None:
    headers = CIMultiDict([("Cookie", "a=1"), ("Cookie", "session=ours"), ("cookie", "session=theirs; b=2")])
    assert cookies(request(headers)) == ["ours", "theirs"]


def test_cookies_of_an_earlier_backend_are_read_after_ours() -> None:
    headers = CIMultiDict(Cookie="PHPSESSID=php; connect.sid=s%3Anode.of-express-x; JSESSIONID=java; session=ours")
    assert cookies(request(headers, "PHPSESSID", "connect.sid")) == ["ours", "php", "s:node.of-express-x"]


@pytest.mark.parametrize("name", ["", "a b", "a;b", "a=b", "cookie,other", "名"])
def test_a_name_that_no_cookie_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected names of cookies"):
        token_cookies([name])


@pytest.mark.parametrize("is_production", [True, False])
def test_the_cookie_of_a_session_is_http_only_same_site_and_secure_in_production(is_production: bool) -> None:
    app = web.Application()
    app[SECURE_COOKIES] = is_production
    response = web.Response()

    add_token(make_mocked_request("POST", "/", app=app), response, "a-token")

    cookie = response.cookies["session"]
    assert (cookie.value, cookie["path"], cookie["domain"]) == ("a-token", "/", "")
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", str(SESSION_SECONDS))
    assert bool(cookie["secure"]) is is_production
