"""The pages without a browser: where they are, their headers, their files, and that both languages say everything."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

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
async def test_a_page_speaks_the_language_that_its_reader_chose_or_asks_for(
    client: Client, path: str, languages: str, lang: str
) -> None:
    page = await client.get(f"/pages/{path}", headers={"Accept-Language": languages})
    assert page.status == 200
    assert f'<html lang="{lang}">' in await page.text()


async def test_a_page_may_load_nothing_foreign_and_run_nothing_inline(client: Client) -> None:
    page = await client.get("/pages/register")
    text = await page.text()
    assert page.headers["Content-Security-Policy"] == POLICY
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in POLICY
    assert "style=" not in text
    assert text.count("<script") == text.count("<script type=") == 1


async def test_what_a_query_says_is_shown_as_text(client: Client) -> None:
    page = await client.get("/pages/register", params={"x": '"><script>alert(1)</script>'})
    assert "<script>alert" not in await page.text()


async def test_a_file_is_sent_again_only_when_it_changed(client: Client) -> None:
    first = await client.get("/pages/static/form.js")
    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert first.headers["Cache-Control"] == "no-cache"

    again = await client.get("/pages/static/form.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", first.headers["ETag"])


@pytest.mark.parametrize("name", ["nothing.js", "..%2fwords.py", "%2e%2e%2f%2e%2e%2fapp.py"])
async def test_only_static_files_are_served(client: Client, name: str) -> None:
    assert (await client.get(f"/pages/static/{name}")).status == 404


@pytest.mark.parametrize(
    ("dialects", "found"),
    [((), {"register", "login", "reset"}), (("register_page",), {"register"}), (("native",), {"login", "reset"})],
)
async def test_a_page_is_there_only_with_the_contract_it_speaks(dialects: tuple[str, ...], found: set[str]) -> None:
    async with TestClient(TestServer(create_app(settings(dialects=dialects)))) as client:
        pages = {page: await client.get(f"/pages/{page}") for page in ("register", "login", "reset")}
        assert {page for page, answer in pages.items() if answer.status == 200} == found
        for page in found:
            menu = await pages[page].text()
            assert {each for each in pages if f'"/pages/{each}?lang=' in menu} == found


@pytest.mark.parametrize(
    ("environment", "pages", "served"),
    [
        ("development", None, True),
        ("development", "off", False),
        ("production", None, False),
        ("production", "on", True),
    ],
)
def test_pages_are_for_development_unless_told_otherwise(environment: str, pages: str | None, served: bool) -> None:
    secret = SecretStr("ab" * 32)
    made = GatewaySettings(
        environment=environment, pages=pages, service_token=secret, sealed_number_keys=SecretStr("1:" + "cd" * 32)
    )
    assert made.serves_pages is served


def test_both_languages_say_the_same_things() -> None:
    assert WORDS["zh"].keys() == WORDS["en"].keys()
    assert WORDS["zh"]["script"].keys() == WORDS["en"]["script"].keys()
    assert inbox.WORDS["zh"].keys() == inbox.WORDS["en"].keys()


def test_every_answer_of_the_contract_has_a_translation() -> None:
    codes = {code for code, _ in register_page.REFUSALS.values()} | {"0000"}
    assert WORDS["en"]["script"]["refusals"].keys() == codes
