"""docs/guides/web.md: its files compile strictly, and run in a real browser against a running system."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from support.app import App, fresh_number
from support.database import Tables
from support.quickstarts import scenario
from support.quickstarts.lossy_proxy import lossy_proxy
from support.quickstarts.pages import URL, samples
from support.quickstarts.tools import HERE, run
from support.tools import node_modules

Files = dict[str, tuple[str, str]]
DRIVER = """
import { Haoma } from "./haoma.js";
const haoma = new Haoma(location.origin);
window.drive = (request) => drive(haoma, request);
"""


@pytest.fixture(scope="module")
async def compiled(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of the page, compiled as it says, by their path. ``drive.html`` runs steps instead of the screen."""
    folder: Path = tmp_path_factory.mktemp("web")
    client, screen = samples("web", "ts")
    (folder / "haoma.ts").write_text(client)
    (folder / "main.ts").write_text(screen.replace(f'"{URL}"', "location.origin"))
    tsc = str(node_modules() / ".bin" / "tsc")
    options = ("--strict", "--target", "es2022", "--module", "esnext", "--lib", "es2022,dom,dom.iterable")
    assert await run(folder, tsc, *options, "--moduleResolution", "bundler", "haoma.ts", "main.ts") == ""
    scripts = {name: (folder / name).read_text() for name in ("haoma.js", "main.js")}
    scripts["drive.js"] = DRIVER + (HERE / "drive.js").read_text()
    (screen_html,) = samples("web", "html")
    pages = {"index.html": screen_html, "drive.html": '<script type="module" src="drive.js"></script>'}
    return {f"/app/{name}": ("text/javascript", text) for name, text in scripts.items()} | {
        f"/app/{name}": ("text/html", "<!doctype html><meta charset=utf-8>" + text) for name, text in pages.items()
    }


@asynccontextmanager
async def tab(browser: Browser, url: str) -> AsyncIterator[Page]:
    context = await browser.new_context(locale="en-GB")
    page = await context.new_page()
    await page.goto(url)
    yield page
    await context.close()


class Tab:
    """A ``Client``: a tab of the browser."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def do(self, step: str, argument: str = "") -> Any:
        await self._page.wait_for_function("() => window.drive !== undefined")
        outcome = await self._page.evaluate("(request) => drive(request)", {"step": step, "argument": argument})
        if "refused" in outcome:
            raise scenario.RefusedError(outcome["refused"], outcome["retryAfter"])
        return outcome["result"]

    async def restart(self) -> None:
        await self._page.reload()


async def test_the_client_survives_a_real_network(browser: Browser, app: App, tables: Tables, compiled: Files) -> None:
    async with lossy_proxy(app.gateway, compiled) as proxy, tab(browser, f"{proxy.url}/app/drive.html") as page:
        await scenario.play(Tab(page), proxy, app, tables)


async def test_two_tabs_do_not_refresh_at_once(browser: Browser, app: App, compiled: Files) -> None:
    number = fresh_number()
    async with lossy_proxy(app.gateway, compiled) as proxy, tab(browser, f"{proxy.url}/app/drive.html") as page:
        second = await page.context.new_page()
        await second.goto(page.url)
        tabs = [Tab(page), Tab(second)]
        await tabs[0].do("requestCode", number)
        await tabs[0].do("enter", await app.code(number))

        users = [await each.do("call") for each in tabs]
        for each in tabs:
            await each.do("expire")
        again = [await each.do("callAll", "5") for each in tabs]

        assert users[0] == users[1]
        assert again == [[users[0]] * 5] * 2
        assert proxy.sent[scenario.REFRESH] == 3, (
            "the second tab at its start, and each tab after the token had expired"
        )


async def test_a_person_logs_in_and_out_on_the_page(browser: Browser, app: App, compiled: Files) -> None:
    number = fresh_number()
    async with lossy_proxy(app.gateway, compiled) as proxy, tab(browser, f"{proxy.url}/app/index.html") as page:
        await page.fill("[name=phone]", "12345")
        await page.click("text=Send code")
        await expect(page.locator("#message")).to_contain_text("Check the number")

        await page.fill("[name=phone]", number)
        await page.click("text=Send code")
        await expect(page.locator("#number-form button")).to_be_disabled()
        await expect(page.locator("#number-form button")).to_contain_text("s)")
        code = await app.code(number)
        await page.fill("[name=code]", f" {code[:3]} {code[3:]} ")
        await page.click("text=Log in")
        await expect(page.locator("#message")).to_contain_text("Hello")
        await expect(page.locator("#number-form")).to_be_hidden()

        await page.reload()
        await expect(page.locator("#message")).to_contain_text("Hello")
        await page.click("#log-out")
        await expect(page.locator("#number-form")).to_be_visible()
        assert await page.evaluate("localStorage.length") == 0
        ended = [path for path in proxy.sent if path.startswith("/v2/sessions/") and path != scenario.REFRESH]
        assert len(ended) == 1
