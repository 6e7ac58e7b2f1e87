"""The pages without a browser: their paths, headers and files, and their words in both languages."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from support.principals import strong_secret

from gateway.app import create_app
from gateway.dialects import register_page
from gateway.pages.words import WORDS
from gateway.settings import GatewaySettings
from shared.pages.site import POLICY
from sms_service.inbox import words as inbox

Client = TestClient[web.Request, web.Application]


def settings(**more: Any) -> GatewaySettings:
    return GatewaySettings(environment="development", **more)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app(settings()))) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "languages", "lang"),
    [
        ("register", "", "zh-CN"),
        ("register", "en-US,zh;q=0.5", "en"),
        ("login?lang=zh", "en", "zh-CN"),
        ("reset?lang=en", "zh", "en"),
        ("reset?lang=xx", "en", "en"),
    ],
)
async def test_a_page_is_in_the_chosen_language_or_else_in_the_preferred_one(
    client: Client, path: str, languages: str, lang: str
) -> None:
    page = await client.get(f"/pages/{path}", headers={"Accept-Language": languages})
    assert page.status == 200
    assert f'<html lang="{lang}">' in await page.text()


async def test_a_page_forbids_foreign_resources_and_inline_code(client: Client) -> None:
    page = await client.get("/pages/register")
    text = await page.text()
    assert page.headers["Content-Security-Policy"] == POLICY
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in POLICY
    assert "style=" not in text
    assert text.count("<script") == text.count("<script type=") == 1


async def test_a_query_cannot_add_code_to_a_page(client: Client) -> None:
    page = await client.get("/pages/register", params={"x": '"><script>alert(1)</script>'})
    assert "<script>alert" not in await page.text()


async def test_an_unchanged_file_is_not_sent_again(client: Client) -> None:
    first = await client.get("/pages/static/page.js")
    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert first.headers["Cache-Control"] == "no-cache"

    again = await client.get("/pages/static/page.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", first.headers["ETag"])


@pytest.mark.parametrize("name", ["nothing.js", "..%2fwords.py", "%2e%2e%2f%2e%2e%2fapp.py"])
async def test_only_static_files_are_served(client: Client, name: str) -> None:
    assert (await client.get(f"/pages/static/{name}")).status == 404


@pytest.mark.parametrize(
    ("dialects", "served"),
    [((), {"register", "login", "reset"}), (("register_page",), {"register"}), (("native",), {"login", "reset"})],
)
async def test_a_page_is_served_only_with_the_dialect_it_uses(dialects: tuple[str, ...], served: set[str]) -> None:
    async with TestClient(TestServer(create_app(settings(dialects=dialects)))) as client:
        pages = {page: await client.get(f"/pages/{page}") for page in ("register", "login", "reset")}
        assert {page for page, answer in pages.items() if answer.status == 200} == served
        for page in served:
            menu = await pages[page].text()
            assert {each for each in pages if f'"/pages/{each}?lang=' in menu} == served


@pytest.mark.parametrize(
    ("dialects", "first"), [((), "register"), (("register_page",), "register"), (("native",), "login")]
)
async def test_the_root_of_the_pages_leads_to_the_first_one(dialects: tuple[str, ...], first: str) -> None:
    async with TestClient(TestServer(create_app(settings(dialects=dialects)))) as client:
        for path in ("/pages", "/pages/"):
            answer = await client.get(path, params={"lang": "en"}, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (302, f"/pages/{first}?lang=en")
            assert (await client.get(path)).status == 200


async def test_without_a_page_the_root_of_the_pages_is_not_found() -> None:
    async with TestClient(TestServer(create_app(settings(dialects=("tel",))))) as client:
        assert (await client.get("/pages")).status == 404


@pytest.mark.parametrize(
    ("environment", "pages", "served"),
    [
        ("development", None, True),
        ("development", "off", False),
        ("production", None, False),
        ("production", "on", True),
    ],
)
def test_pages_are_served_in_development_unless_the_setting_says_otherwise(
    environment: str, pages: str | None, served: bool
) -> None:
    tokens = {name: strong_secret(name) for name in GatewaySettings.secret_names() if name.endswith("_token")}
    gateway_settings = GatewaySettings(
        environment=environment,
        pages=pages,
        **tokens,
        sealed_number_keys=f"1:{strong_secret('sealed_number_keys')}",
        trusted_proxies="none",
    )
    assert gateway_settings.serves_pages is served


def test_both_languages_have_the_same_words() -> None:
    assert WORDS["zh"].keys() == WORDS["en"].keys()
    assert WORDS["zh"]["script"].keys() == WORDS["en"]["script"].keys()
    assert inbox.WORDS["zh"].keys() == inbox.WORDS["en"].keys()


def test_every_code_of_the_contract_has_a_translation() -> None:
    codes = {code for code, _ in register_page.REFUSALS.values()} | {"0000"}
    assert WORDS["en"]["script"]["refusals"].keys() == codes
