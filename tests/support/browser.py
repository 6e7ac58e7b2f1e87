"""A visit to the pages in a real browser, with a record of console messages and requests to other hosts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Error, Page, Request, expect
from stack.system import Stack

LOCALES = {"zh": "zh-CN", "en": "en-GB"}
REFUSED = "Failed to load resource: the server responded with a status of 4"
"""The browser's own message about an HTTP status of 4xx, which our own API responds with."""

expect.set_options(timeout=30_000)


@dataclass
class Visit:
    """A page, its console messages, and the other hosts that it called."""

    page: Page
    gateway: str
    sms: str
    messages: list[str] = field(default_factory=list)
    other_hosts: list[str] = field(default_factory=list)

    async def inbox(self, query: str = "") -> None:
        """Open the SMS inbox and wait until it is connected."""
        await self.page.goto(f"{self.sms}/inbox{query}")
        await expect(self.page.locator("#link:not(.offline)")).to_be_visible()

    async def form(self, name: str) -> None:
        await self.page.goto(f"{self.gateway}/pages/{name}")

    async def fill(self, **values: str) -> None:
        for name, value in values.items():
            await self.page.fill(f"#{name}", value)

    async def paste(self, name: str, text: str) -> None:
        """Paste a text into an empty field from the clipboard."""
        await self.fill(**{name: ""})
        await self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        await self.page.focus(f"#{name}")
        await self.page.keyboard.press("Control+V")

    async def error_of(self, name: str) -> str:
        """Wait for the error of a field, found the way assistive technology finds it, and return its text."""
        field = self.page.locator(f"#{name}[aria-invalid=true]")
        await expect(field).to_be_visible()
        assert f"{name}-error" in str(await field.get_attribute("aria-describedby")).split()
        return await self.page.locator(f"#{name}-error").inner_text()

    def on_console(self, message: ConsoleMessage) -> None:
        if not (message.text.startswith(REFUSED) and "/v2/" in message.location["url"]):
            self.messages.append(message.text)

    def on_page_error(self, error: Error) -> None:
        self.messages.append(str(error))

    def on_request(self, request: Request) -> None:
        if not request.url.startswith((self.gateway, self.sms, "data:")):
            self.other_hosts.append(urlsplit(request.url).netloc)


Visiting = Callable[..., Awaitable[Visit]]


@asynccontextmanager
async def visiting(
    browser: Browser, system: Stack, language: str, width: int, options: dict[str, Any]
) -> AsyncIterator[Visit]:
    context = await browser.new_context(
        locale=LOCALES[language],
        viewport={"width": width, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
        reduced_motion="reduce",
        **options,
    )
    visit = Visit(await context.new_page(), system.url("gateway"), system.url("sms-service"))
    visit.page.on("console", visit.on_console)
    visit.page.on("pageerror", visit.on_page_error)
    visit.page.on("request", visit.on_request)
    try:
        yield visit
    finally:
        await context.close()
