"""What every response tells a browser, whether it is a page, a document, a call or a refusal."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.app import create_app
from gateway.http.session_tokens import SECURE_COOKIES
from gateway.settings import GatewaySettings

Client = TestClient[web.Request, web.Application]
PATHS = ("/pages/register", "/pages/static/page.js", "/docs", "/openapi.json", "/v2/me", "/v1/nothing", "/nothing")


@pytest.fixture(params=[False, True], ids=["development", "production"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    app = create_app(GatewaySettings(environment="development"))
    app[SECURE_COOKIES] = request.param
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
async def test_a_browser_runs_embeds_guesses_and_passes_on_nothing(client: Client, path: str) -> None:
    async with client.get(path) as response:
        policy = {part.strip() for part in response.headers.getone("Content-Security-Policy").split(";")}
        assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= policy
        assert not any("unsafe" in part for part in policy)
        assert response.headers.getall("X-Content-Type-Options") == ["nosniff"]
        assert response.headers.getall("Referrer-Policy") == ["no-referrer"]
        assert response.headers["Server"] == "haoma"


@pytest.mark.parametrize("path", PATHS)
async def test_production_asks_browsers_for_https_for_a_year(client: Client, path: str) -> None:
    async with client.get(path) as response:
        periods = response.headers.getall("Strict-Transport-Security", [])
    assert periods == (["max-age=31536000"] if client.app[SECURE_COOKIES] else [])


@pytest.mark.parametrize("path", PATHS)
async def test_a_text_names_its_character_set(client: Client, path: str) -> None:
    async with client.get(path) as response:
        kind = response.headers["Content-Type"]
        body = await response.read()
    assert body.decode()
    assert kind.startswith(("application/json", "application/problem+json")) or "charset=utf-8" in kind
