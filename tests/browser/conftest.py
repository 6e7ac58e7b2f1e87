"""A browser for these tests. A visit that logs a message or calls another host fails its test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright
from stack.folder import StackError
from stack.packages import chromium
from stack.system import Stack
from support.app import App
from support.browser import Visit, Visiting, visiting


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser, installed if necessary. Without one these tests are skipped with the reason."""
    try:
        return chromium.browser(print)
    except StackError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=options)
        yield browser
        await browser.close()


@pytest.fixture
async def visit(browser: Browser, system: Stack) -> AsyncIterator[Visiting]:
    """Opens visits. At the end of the test, checks that none logged a message or called another host."""
    visits: list[Visit] = []
    async with AsyncExitStack() as stack:

        async def open_visit(language: str = "en", width: int = 1280, **options: Any) -> Visit:
            opened = await stack.enter_async_context(visiting(browser, system, language, width, options))
            visits.append(opened)
            return opened

        yield open_visit
    assert [each.messages + each.other_hosts for each in visits] == [[]] * len(visits)


@pytest.fixture
async def put(app: App, system: Stack) -> Callable[..., Awaitable[None]]:
    """Puts a message into the inbox, as the sender does."""

    async def put(to: str, text: str, code: str = "123456", purpose: str = "sign_up") -> None:
        message = {"to": to, "text": text, "code": code, "purpose": purpose}
        headers = {"Authorization": f"Bearer {system.environ['WORKER_TO_INBOX_TOKEN']}"}
        async with app.http.post(f"{app.sms}/inbox/messages", json={"messages": [message]}, headers=headers) as reply:
            assert reply.status == 200

    return put


@pytest.fixture
async def empty_inbox(app: App) -> AsyncIterator[None]:
    """Empties the inbox before and after the test."""
    await _empty(app)
    yield
    await _empty(app)


async def _empty(app: App) -> None:
    async with app.http.delete(f"{app.sms}/inbox/messages") as reply:
        assert reply.status == 204
