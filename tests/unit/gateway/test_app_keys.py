"""Keys for an app's own servers: how they are made, configured, recognised and refused."""

import hashlib
import re
import sys

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway import __main__
from gateway.http.app_keys import PREFIX, AppKey, AppServers, generate, parse_app_keys
from gateway.http.callers import Callers
from gateway.settings import GatewaySettings
from shared.encoding import to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.process.settings import load


def made(app: str, seed: str) -> tuple[str, AppKey]:
    """A key as ``generate`` makes them, but the same in every process: the names of tests contain it."""
    key = PREFIX + to_base64url(hashlib.sha256(seed.encode()).digest())
    return key, AppKey.parse(f"{app}:{hashlib.sha256(key.encode()).hexdigest()}")


SHOP, SHOP_ENTRY = made("shop", "new")
OLD_SHOP, OLD_SHOP_ENTRY = made("shop", "old")
WIKI, WIKI_ENTRY = made("wiki-2", "wiki")
UNKNOWN, _ = made("shop", "unknown")
DIGEST = str(WIKI_ENTRY).partition(":")[2]
SERVERS = AppServers([SHOP_ENTRY, OLD_SHOP_ENTRY, WIKI_ENTRY])


def sent_with(*authorizations: str, **headers: str) -> web.Request:
    fields = CIMultiDict((name.replace("_", "-"), value) for name, value in headers.items())
    for each in authorizations:
        fields.add("Authorization", each)
    return make_mocked_request("POST", "/v2/verifications", headers=fields)


def test_a_key_is_random_and_only_its_digest_is_configured() -> None:
    (key, entry), (other, _) = generate("shop"), generate("shop")
    assert re.fullmatch(r"haoma_app_[\w-]{43}", key)
    assert key != other
    assert str(entry) == f"shop:{hashlib.sha256(key.encode()).hexdigest()}"
    assert AppKey.parse(str(entry)) == entry


@pytest.mark.parametrize(
    ("header", "app"),
    [
        (f"App {SHOP}", "shop"),
        (f"app {SHOP}", "shop"),
        (f"APP   {OLD_SHOP}", "shop"),
        (f"App {WIKI}", "wiki-2"),
    ],
)
def test_every_key_of_an_app_is_accepted_so_that_it_can_be_replaced(header: str, app: str) -> None:
    assert SERVERS.app_of(sent_with(header)) == app


@pytest.mark.parametrize("headers", [(), ("",), ("Bearer abc",), ("Basic YWJj",), ("Apple abc",), ("Bearer app",)])
def test_a_request_without_a_key_is_that_of_a_stranger(headers: tuple[str, ...]) -> None:
    assert SERVERS.app_of(sent_with(*headers)) == ""


@pytest.mark.parametrize(
    "headers",
    [
        ("App",),
        ("App ",),
        ("App,",),
        ("app unknown",),
        (f"App {UNKNOWN}",),
        (f"App {SHOP}x",),
        (f"App {SHOP[:-1]}",),
        (f"App {SHOP.upper()}",),
        (f"App {SHOP} {SHOP}",),
        (f'App "{SHOP}"',),
        (f"App:{SHOP}",),
        (f"App\t{SHOP}",),
        (f"App {DIGEST}",),
        (f"App {SHOP_ENTRY}",),
        (f"Bearer {SHOP}",),
        (SHOP,),
        (f"Bearer abc, App {SHOP}",),
        (f"App {SHOP}, Bearer abc",),
        (f"App {SHOP}", "Bearer abc"),
        ("Bearer abc", f"App {SHOP}"),
        (f"App {SHOP}", f"App {SHOP}"),
        ("App " + "x" * 8000,),
    ],
)
def test_an_unknown_or_malformed_key_is_refused_and_never_taken_for_no_key(headers: tuple[str, ...]) -> None:
    with pytest.raises(ServiceError) as refusal:
        SERVERS.app_of(sent_with(*headers))
    assert refusal.value.code is ErrorCode.APP_KEY_REFUSED


def test_without_any_configured_key_every_key_is_refused() -> None:
    with pytest.raises(ServiceError):
        AppServers(()).app_of(sent_with(f"App {SHOP}"))


def test_a_short_key_is_refused_even_if_somebody_configured_its_digest() -> None:
    weak = AppServers(parse_app_keys(f"shop:{hashlib.sha256(b'secret').hexdigest()}"))
    with pytest.raises(ServiceError):
        weak.app_of(sent_with("App secret"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://m.example.com"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://m.example.com"},
    ],
)
def test_a_key_that_a_browser_sends_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ServiceError) as refusal:
        SERVERS.app_of(sent_with(f"App {SHOP}", **headers))
    assert refusal.value.code is ErrorCode.APP_KEY_REFUSED


def test_keys_are_separated_by_commas_or_line_ends() -> None:
    text = f" {SHOP_ENTRY} , {OLD_SHOP_ENTRY}\n{str(WIKI_ENTRY).upper().replace('WIKI', 'wiki')},\n"
    assert parse_app_keys(text) == (SHOP_ENTRY, OLD_SHOP_ENTRY, WIKI_ENTRY)
    assert parse_app_keys(" \n") == ()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("shop", "64 hex digits"),
        ("shop:", "64 hex digits"),
        (f"shop:{DIGEST[:-1]}", "64 hex digits"),
        (f"shop:{DIGEST}0", "64 hex digits"),
        (f"shop:{'g' * 64}", "64 hex digits"),
        (f"shop:{'٠' * 64}", "64 hex digits"),
        (f":{DIGEST}", "name"),
        (DIGEST, "name"),
        (f"My Shop:{DIGEST}", "name"),
        (f"-shop:{DIGEST}", "name"),
        (f"{'s' * 33}:{DIGEST}", "name"),
        (f"shop:{SHOP}", "the key, not its digest"),
        (f"shop:{'0' * 64}", "random"),
        (f"shop:{'0123' * 16}", "random"),
        (f"wiki:{SHOP_ENTRY.digest.hex()}", "already listed"),
        (str(SHOP_ENTRY), "already listed"),
    ],
)
def test_a_malformed_or_weak_entry_is_named_by_its_position_and_not_quoted(entry: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        parse_app_keys(f"{SHOP_ENTRY},{entry}")
    assert str(error.value).startswith("key 2: ")
    assert SHOP not in str(error.value)
    assert DIGEST not in str(error.value)


def test_a_gateway_with_a_wrong_entry_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("APP_KEYS", f"{SHOP_ENTRY},shop:{SHOP}")
    with pytest.raises(SystemExit):
        load(GatewaySettings, "gateway")
    message = capsys.readouterr().err
    assert "APP_KEYS: key 2: " in message
    assert SHOP not in message


def test_the_command_prints_a_new_key_and_the_entry_that_accepts_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gateway", "app-key", "shop"])
    __main__.main()
    key, entry = capsys.readouterr().out.splitlines()

    assert entry.startswith("shop:")
    assert AppServers(parse_app_keys(entry)).app_of(sent_with(f"App {key}")) == "shop"


@pytest.mark.parametrize("name", ["", "My Shop", "shop:1", "s" * 33, "店"])
def test_the_command_refuses_a_malformed_name(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gateway", "app-key", name])
    with pytest.raises(SystemExit) as end:
        __main__.main()
    assert end.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_call_without_a_key_is_no_call_of_an_app() -> None:
    callers = Callers.configured((), str(SHOP_ENTRY))
    assert callers.app_call(sent_with(X_Forwarded_For="203.0.113.7")) is None
    assert callers.app_call(sent_with("Bearer abc", X_Forwarded_For="203.0.113.7")) is None
